"""`fare serve`: the judge for other programs, over HTTP."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from fare_cli.cli.judge import open_judge, say_idle_gpu, with_own_decoding
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions, as_command, judge_options, judge_parameters
from fare_cli.errors import EnvironmentFault, UsageError

_SERVER = "The server"
_TOKEN_VARIABLE = "FARE_SERVE_TOKEN"
_NOT_SERVED = frozenset({"strict", "max_invalid"})
_SHARED = (*(name for name in SETTING_NAMES if name not in _NOT_SERVED), "quiet", "isolated")


def _option(*names: str, help: str, metavar: str | None = None, shown: bool = True) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, show_default=shown, rich_help_panel=_SERVER)


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """What the command line gave, apart from the options that it shares with `fare judge`."""

    host: Annotated[
        str, _option("--host", metavar="HOST", help="Listen there; anywhere but on this machine a token is needed.")
    ]
    port: Annotated[int, _option("--port", metavar="N", help="Port; 0 takes a free one.")]
    token_file: Annotated[
        Path | None,
        _option(
            "--token-file",
            metavar="FILE",
            help="Answer only who knows the token in FILE.  [default: that in FARE_SERVE_TOKEN, if there is one]",
            shown=False,
        ),
    ]
    max_queue: Annotated[
        int, _option("--max-queue", metavar="N", help="Answer 429 where more records than this would wait.")
    ]
    max_body_mb: Annotated[int, _option("--max-body-mb", metavar="N", help="Answer 413 to a body of more than N MiB.")]


_DEFAULTS: dict[str, Any] = {"host": "127.0.0.1", "port": 8377, "max_queue": 1024, "max_body_mb": 32}


def serve_command() -> Callable[..., int]:
    """The command for typer."""
    hints = get_type_hints(ServingOptions, include_extras=True)
    own = {field.name: (hints[field.name], _DEFAULTS.get(field.name)) for field in fields(ServingOptions)}
    shared = judge_parameters(_SHARED)

    def run(values: dict[str, Any]) -> int:
        options = ServingOptions(**{name: values[name] for name in own})
        return _serve(options, judge_options({name: values[name] for name in shared}))

    return as_command({**own, **shared}, run, "Judge over HTTP: for other programs, and for trainers as their reward.")


def _serve(options: ServingOptions, judging: JudgeOptions) -> int:
    from fare_cli.cli.console import Console
    from fare_cli.settings import load_settings

    _check(options)
    token = _token(options.token_file)
    settings = load_settings({name: getattr(judging, name) for name in SETTING_NAMES}, isolated=judging.isolated)
    try:
        from fare_cli.server.serving import ServeOptions, serve
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            f"fare serve needs {error.name}", "install it with: pip install 'fare-cli[serve]'"
        ) from None
    settings = with_own_decoding(settings, settings.model)
    console = Console(quiet=judging.quiet)
    if settings.gpu_layers != 0 and settings.backend == "local":
        say_idle_gpu(console)
    asked = ServeOptions(
        host=options.host,
        port=options.port,
        token=token,
        most_records=options.max_queue,
        most_bytes=options.max_body_mb << 20,
    )
    with open_judge(settings) as judge:
        return serve(judge, asked, console.say)


def _check(options: ServingOptions) -> None:
    for name, least, most in (("port", 0, 65535), ("max_queue", 1, None), ("max_body_mb", 1, 4096)):
        value = getattr(options, name)
        if value < least or (most is not None and value > most):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} {value}: must be {least} or more" + (f", and at most {most}" if most else ""))


def _token(file: Path | None) -> str | None:
    """The token of the file, else of the environment; None where there is none. Raises UsageError for one that is
    empty, or cannot stand in a header."""
    if file is None:
        token, where = os.environ.get(_TOKEN_VARIABLE), _TOKEN_VARIABLE
        if token is None:
            return None
    else:
        where = f"--token-file {file}"
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(f"{where} cannot be read: {reason}") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(f"{where} holds no token", "a token is printable ASCII without spaces: openssl rand -hex 32")
    return token
