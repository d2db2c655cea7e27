"""Prints docs/cli.md: the help of every command. Run `python scripts/cli_docs.py > docs/cli.md` after changing one."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any

from fare_cli.cli.main import build_app, run

_START = """# The command line

Every command with its help, as the program prints it (this file is made by `python scripts/cli_docs.py > docs/cli.md`).

The settings can also come from `FARE_*` variables (`FARE_MODE=direct`) and from `fare.toml` or `[tool.fare]` in
pyproject.toml (`mode = "direct"`); a flag counts most, then a variable, then the file. `fare doctor --settings` shows
each value and where it came from.

| exit code | meaning |
|---|---|
| 0 | done; also where the reader of stdout has closed it (`fare ... \\| head`) |
| 1 | `--max-seconds` ended the run before the end of its input; a `--fail-on` is broken; `prompts diff` differs |
| 2 | the command, a setting or an input file cannot be used |
| 3 | too many records could not be judged, or there were none |
| 4 | undecided: with `--fail-on`, the records are too few to tell |
| 5 | the model, the machine or the disk |
| 70 | a bug in fare, with its traceback |
| 130, 143 | stopped by Ctrl-C or SIGTERM; the same command goes on from there |
"""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command below `command`, the groups included."""
    yield path
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.commands[name], (*path, name))


def help_text(path: tuple[str, ...]) -> str:
    """What `fare PATH --help` prints on a screen of 80 columns."""
    os.environ["COLUMNS"] = "80"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run([*path, "--help"])
    return out.getvalue().strip("\n")


def document() -> str:
    """The whole of docs/cli.md."""
    parts = [_START]
    for path in commands(build_app()):
        title = " ".join(("fare", *path))
        parts.append(f"## {title}\n\n```\n{help_text(path)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    print(document(), end="")
