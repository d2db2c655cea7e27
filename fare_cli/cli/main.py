"""The console entry point: the tree of commands, and what every way to end looks like to the shell."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from fare_cli.cli import data, doctor, judge, models, prompts
from fare_cli.cli.audit import audit_command
from fare_cli.cli.diff import diff_command
from fare_cli.cli.eval import eval_command
from fare_cli.cli.gate import gate_command
from fare_cli.cli.options import SectionedCommand
from fare_cli.cli.rank import rank_command
from fare_cli.cli.report import report
from fare_cli.cli.review import review_command
from fare_cli.cli.serve import serve_command
from fare_cli.cli.stopping import Terminated
from fare_cli.errors import ExitCode, FareError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

# Typer carries its own copy of click from 0.20 on, and used the installed one before; this is the right class in both.
_ClickUsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]

_MACHINE_FAULTS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file grew beyond the limit set for this process",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk reported an input/output error",
    errno.EMFILE: "too many files are open",
}


_ORDER = (
    "judge", "eval", "audit", "gate", "diff", "report", "review", "rank", "prompts", "data", "models", "serve",
    "doctor",
)  # fmt: skip


class _OutputClosed(Exception):
    """Whoever read our stdout has closed it."""


class _Interrupted(Exception):
    """Carries a KeyboardInterrupt past click, which would end the program without a word."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


class CommandGroup(TyperGroup):
    """A group that lists its commands in the order of a user's work and shows its help when called alone."""

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _OutputClosed from error
        except KeyboardInterrupt as error:
            code = ExitCode.TERMINATED if isinstance(error, Terminated) else ExitCode.INTERRUPTED
            raise _Interrupted(code) from error


def _print_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"fare {version('fare-cli')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A local judge: grades the outputs of language models with a small evaluator model, on this machine."""


def build_app() -> Any:
    """The whole tree of commands as one click command."""
    app = typer.Typer(cls=CommandGroup, callback=_root, add_completion=False, rich_markup_mode=None)
    for name, group in (
        ("judge", judge.judge_app),
        ("prompts", prompts.prompts_app),
        ("data", data.data_app),
        ("models", models.models_app),
    ):
        app.add_typer(group, name=name, cls=CommandGroup)
    app.command("eval", cls=SectionedCommand)(eval_command())
    app.command("audit", cls=SectionedCommand)(audit_command())
    app.command("gate", cls=SectionedCommand)(gate_command())
    app.command("diff", cls=SectionedCommand)(diff_command())
    app.command("rank", cls=SectionedCommand)(rank_command())
    app.command("review", cls=SectionedCommand)(review_command())
    app.command("serve", cls=SectionedCommand)(serve_command())
    app.command("report")(report)
    app.command("doctor")(doctor.doctor)
    return typer.main.get_command(app)


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of `fare ARGUMENTS` (default: those of the process). Everything is already said on stderr."""
    return run_app(build_app, "fare", arguments)


def run_app(build: Callable[[], Any], program: str, arguments: Sequence[str] | None = None) -> int:
    """The exit code of a program whose commands `build` makes; errors end it as they end `fare`."""
    try:
        code = build().main(
            args=None if arguments is None else list(arguments), prog_name=program, standalone_mode=False
        )
        sys.stdout.flush()
    except FareError as error:
        return _report(error.message, error.hint, error.exit_code)
    except _ClickUsageError as error:
        return _report(*_usage_message(error), ExitCode.USAGE)
    except (_OutputClosed, BrokenPipeError):
        _discard_stdout()
        return ExitCode.OK
    except _Interrupted as interrupted:
        return interrupted.code
    except KeyboardInterrupt as error:
        return ExitCode.TERMINATED if isinstance(error, Terminated) else ExitCode.INTERRUPTED
    except MemoryError:
        return _report("out of memory", "close other programs, or use a smaller model or --ctx", ExitCode.ENVIRONMENT)
    except OSError as error:
        if error.errno not in _MACHINE_FAULTS:
            return _report_bug()
        message = _MACHINE_FAULTS[error.errno]
        return _report(f"{message}: {error.filename}" if error.filename else message, None, ExitCode.ENVIRONMENT)
    except Exception:
        return _report_bug()
    return int(code or 0)


def main(run: Callable[[], int] = run) -> NoReturn:
    """Runs `fare`, or another program, and ends the process with its exit code."""
    _prepare_streams()
    warnings.showwarning = _show_warning
    signal.signal(signal.SIGTERM, _terminate)
    code = run()
    if code != ExitCode.OK:
        # The message is out; what is still in the buffer must not turn the exit code into Python's own 120.
        try:
            sys.stdout.flush()
        except OSError:
            _discard_stdout()
    sys.exit(code)


def _prepare_streams() -> None:
    """Makes stdout UTF-8 and buffered, whatever the environment says, and sees that files 0 to 2 are open.

    Unbuffered (PYTHONUNBUFFERED), Python drops the rest of a write that the disk took only in part, without an error. A
    journal that is opened while 1 is closed would become stdout.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "w", closefd=False)), encoding="utf-8", line_buffering=os.isatty(1)
    )


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    print(f"warning: {message}", file=sys.stderr)


def _terminate(_signal_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _report(message: str, hint: str | None, code: ExitCode) -> ExitCode:
    typer.echo(f"error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
    return code


def _usage_message(error: Any) -> tuple[str, str]:
    command = error.ctx.command_path if error.ctx is not None else "fare"
    text = str(error.format_message())
    text = " ".join(text.split())  # click breaks the line before a list of choices
    text = text.replace(": Value error, ", ": ")
    return text[:1].lower() + text[1:].rstrip("."), f"{command} --help lists what it takes"


def _report_bug() -> ExitCode:
    import traceback

    traceback.print_exc()
    return _report("this is a bug in fare", "please report it with the lines above", ExitCode.BUG)


def _discard_stdout() -> None:
    """Points stdout at nothing, so that the interpreter's last flush has nowhere to fail."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.close(nothing)
