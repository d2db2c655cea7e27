"""What a person sees while files are brought: how far each one is, and the question whether a licence is accepted."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import typer

from fare_cli.cli.console import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PLAIN_LINE_EVERY_S = 10.0


class DownloadDisplay:
    """Shows downloads on stderr: one live bar, or without `live` a plain line every ten seconds."""

    def __init__(self, *, live: bool) -> None:
        self._is_live = live
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._name: str | None = None
        self._next_line = time.monotonic() + _PLAIN_LINE_EVERY_S

    def __enter__(self) -> DownloadDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def say(self, line: str) -> None:
        """A line for people, in the order in which things happen."""
        self._close()
        typer.echo(printable(line), err=True)

    def ask(self, text: str) -> bool:
        """Shows what a licence says, and whether the person at the terminal accepts it; no, unless they say yes."""
        self.say(text)
        # Not click's own question: that one writes a space to stdout, which carries data.
        typer.echo("Do you accept it? [y/N] ", nl=False, err=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def show(self, name: str, here: int, size: int | None) -> None:
        """`here` bytes of a file have arrived, of `size` if that is known."""
        if self._is_live:
            self._show_live(name, here, size)
        elif time.monotonic() >= self._next_line and here != size:
            self._next_line = time.monotonic() + _PLAIN_LINE_EVERY_S
            total = f" of {size / 1e9:.2f}" if size is not None else ""
            typer.echo(f"{printable(name)}: {here / 1e9:.2f}{total} GB", err=True)

    def _show_live(self, name: str, here: int, size: int | None) -> None:
        if name != self._name:
            self._close()
        if self._live is None:
            self._live = _live_progress()
            self._task = self._live.add_task(printable(name), total=size, completed=here)
            self._name = name
            self._live.start()
        assert self._task is not None
        self._live.update(self._task, completed=here, total=size)

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _live_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
