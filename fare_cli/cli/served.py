"""The server that the settings mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from fare_cli.backends.http.options import ServerOptions
    from fare_cli.settings import Settings

# Settings of an engine that runs here; a server has its own.
_OF_THE_ENGINE = ("lora", "ctx", "slots", "threads", "gpu_layers", "gpu_split", "kv_type", "deterministic")


def server_of(settings: Settings) -> ServerOptions | None:
    """The server that is to judge; None where a model here does. Raises UsageError for settings that do not go
    together."""
    from fare_cli.backends.http.options import ServerOptions

    if settings.backend == "local":
        if settings.url is not None:
            raise UsageError(
                f"{settings.origin('url')} names a server, and nothing says to ask it", "add --backend http"
            )
        return None
    if settings.url is None:
        raise UsageError("--backend http needs the address of a server", "add --url, such as http://127.0.0.1:8080")
    for name in _OF_THE_ENGINE:
        # What a project file says holds for the judging that is done here.
        if settings.origin(name).startswith("--"):
            raise UsageError(
                f"{settings.origin(name)} is for an engine on this machine, and --backend http asks a server"
            )
    return ServerOptions(
        url=settings.url,
        model=settings.served_model,
        concurrency=settings.concurrency,
        timeout_s=settings.timeout,
    )
