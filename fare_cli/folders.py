"""Where fare keeps things on this machine: models in the data folder, what can be lost in the cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """The folder of installed models and other lasting data; may not exist yet.

    `FARE_HOME` if it is set, else the platform's folder for user data.
    """
    home = os.environ.get("FARE_HOME")
    if home:
        return Path(home).expanduser().absolute()
    import platformdirs

    return platformdirs.user_data_path("fare", appauthor=False)


def cache_folder() -> Path:
    """The folder of what can be computed again (checksums, answers of probes); may not exist yet.

    `cache` under `FARE_HOME` if that is set, else the platform's folder for caches.
    """
    home = os.environ.get("FARE_HOME")
    if home:
        return Path(home).expanduser().absolute() / "cache"
    import platformdirs

    return platformdirs.user_cache_path("fare", appauthor=False)


def config_folder() -> Path:
    """The folder of the user's own configuration (a catalog of models); may not exist yet.

    `FARE_HOME` if it is set, else the platform's folder for configuration.
    """
    home = os.environ.get("FARE_HOME")
    if home:
        return Path(home).expanduser().absolute()
    import platformdirs

    return platformdirs.user_config_path("fare", appauthor=False)
