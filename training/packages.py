"""The packages of the extra `train`: missing ones are said by name, before any work."""

from __future__ import annotations

import importlib.util
import logging
import warnings

from fare_cli.errors import EnvironmentFault

NEEDED = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "gguf", "yaml")


def need_training_packages() -> None:
    """Raises EnvironmentFault, with the one command that mends it, unless all that training needs is installed."""
    need_packages(*NEEDED)


def need_packages(*names: str) -> None:
    """Raises EnvironmentFault, with the one command that mends it, unless packages of these names can be imported."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentFault(
            f"training needs packages that are not installed: {', '.join(missing)}",
            "install them, in the checkout: pip install -e '.[train]'",
        )


def hush() -> None:
    """Silences the packages' own progress bars and advice to programmers, in which what a verb says would drown."""
    for name in ("accelerate", "bitsandbytes", "trl"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    from datasets import disable_progress_bars
    from transformers.utils import logging as transformers_logging

    disable_progress_bars()
    transformers_logging.disable_progress_bar()
