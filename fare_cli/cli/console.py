"""What a person sees: readable verdicts, progress while a run goes on, the summary at its end."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from fare_cli.errors import visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from fare_cli.run.progress import ProgressSnapshot
    from fare_cli.run.summary import Summary
    from fare_cli.verdicts import Verdict

_PLAIN_LINE_EVERY_S = 10.0

_GREEN, _RED, _YELLOW, _DIM = "32", "31", "33", "2"


def printable(text: str) -> str:
    """`text` on one line, without characters that could steer a terminal: ids and errors come from input files."""
    return "".join(character if character.isprintable() else " " for character in text)


class Console:
    """stderr for a person. `quiet` keeps everything back that is not an error; `verbose` lets details through.

    Names of files and words of prompts are shown as they are, except for what could steer a terminal."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self.quiet = quiet
        self.verbose = verbose and not quiet

    def say(self, text: str) -> None:
        if not self.quiet:
            with contextlib.suppress(BrokenPipeError):  # whoever listened has left; the verdicts go on
                print(visible(text), file=sys.stderr, flush=True)

    def detail(self, text: str) -> None:
        if self.verbose:
            self.say(text)


def may_colour(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that takes colour, and nobody asked for none (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def verdict_line(verdict: Verdict, *, colour: bool) -> str:
    """One readable line: id, verdict, how sure, and what else matters."""

    def paint(text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    name = printable(verdict.id) or (f"{verdict.source.file}:{verdict.source.line}" if verdict.source else "record")
    if verdict.status == "invalid":
        error = verdict.error
        return (
            f"{name}  {paint('invalid', _RED)}  {printable(f'{error.kind}: {error.message}') if error else ''}".rstrip()
        )
    parts = [name, paint(_label(verdict), _GREEN if verdict.verdict is not None else _YELLOW)]
    if verdict.confidence is not None:
        parts.append(f"{verdict.confidence:.0%} sure")
    if verdict.expected_score is not None:
        parts.append(f"expected {verdict.expected_score:.2f}")
    if verdict.consistent is not None:
        parts.append("both orders agree" if verdict.consistent else paint("the orders disagree", _YELLOW))
    if verdict.gold is not None:
        right = {True: "right", False: "wrong", None: "not comparable"}[verdict.correct]
        parts.append(paint(f"gold {verdict.gold}: {right}", {True: _GREEN, False: _RED, None: _DIM}[verdict.correct]))
    return "  ".join(parts)


def _label(verdict: Verdict) -> str:
    if verdict.criteria is not None:
        return ", ".join(f"{printable(name)} {one.score}" for name, one in verdict.criteria.items())
    if verdict.verdict is None:
        return "undecided"
    if verdict.task == "step":
        return "no wrong step" if verdict.verdict == "-1" else f"step {verdict.verdict} is wrong"
    return verdict.verdict


class ProgressDisplay:
    """Shows snapshots on stderr: one live line, or without `live` a plain line every ten seconds."""

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._is_live = live
        self._live: Progress | None = None
        self._task: TaskID | None = None
        self._next_line = time.monotonic() + _PLAIN_LINE_EVERY_S

    def show(self, snapshot: ProgressSnapshot) -> None:
        if self._console.quiet:
            return
        if self._is_live:
            self._show_live(snapshot)
        elif time.monotonic() >= self._next_line and not snapshot.last:
            self._next_line = time.monotonic() + _PLAIN_LINE_EVERY_S
            self._console.say(progress_line(snapshot))

    def _show_live(self, snapshot: ProgressSnapshot) -> None:
        if self._live is None:
            self._live = _live_progress()
            self._task = self._live.add_task("judging", total=snapshot.total, talk="")
            self._live.start()
        assert self._task is not None
        self._live.update(self._task, completed=snapshot.done, total=snapshot.total, talk=_talk(snapshot))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _live_progress() -> Progress:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    # Transient: what stays on the screen is the summary. Readable verdicts are printed above the live line.
    return Progress(
        TextColumn("judging"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[talk]}"),
        console=RichConsole(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )


def progress_line(snapshot: ProgressSnapshot) -> str:
    """A snapshot as one plain line."""
    total = f"/{snapshot.total}" if snapshot.total is not None else ""
    return f"judged {snapshot.done}{total}, {_talk(snapshot)}"


def _talk(snapshot: ProgressSnapshot) -> str:
    if not snapshot.done:
        return f"{duration(snapshot.elapsed_s)} so far"
    parts = [f"{60 * snapshot.records_per_s:,.0f} a minute"]
    if snapshot.partitions is not None:
        parts.insert(0, "{} of {} partitions".format(*snapshot.partitions))
    if snapshot.left_s is not None:
        parts.append(f"{duration(snapshot.left_s)} left")
    if snapshot.consistency is not None:
        parts.append(f"orders agree {snapshot.consistency:.0%}")
    if snapshot.accuracy is not None:
        parts.append(f"right {snapshot.accuracy:.0%}")
    if snapshot.invalid:
        parts.append(f"{snapshot.invalid} invalid")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as people say them: `8.2 s`, `4 min 05 s`, `3 h 20 min`."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def summary_lines(summary: Summary) -> Iterator[str]:
    """The closing summary: counts, consistency, accuracy, tokens, reuse, rate; no line that would say nothing."""
    counts, asking = summary.counts, summary.asking
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.invalid_kinds.most_common())
    yield f"records: {counts.total}, {counts.ok} ok, {counts.invalid} invalid" + (f" ({kinds})" if kinds else "")
    if counts.consistency is not None:
        pairs = counts.consistent + counts.inconsistent
        yield f"consistency: both orders agree in {_share(counts.consistent, pairs)}"
    yield from _accuracy_lines(counts)
    if counts.stages:
        # Most records first, which is the order of the stages wherever a cascade is worth its while.
        decided = (f"{stage} in {_share(number, counts.ok)}" for stage, number in counts.stages.most_common())
        yield f"decided: {', '.join(decided)}"
    if counts.with_reference and counts.without_reference:
        yield f"reference: {counts.with_reference} records with one, {counts.without_reference} without: two prompts"
    if counts.own_contract:
        yield f"contract: {counts.own_contract} of {counts.ok} outside the layout that FARE was trained on"
    if counts.forced or counts.truncated:
        yield f"critiques: {counts.forced} without a verdict line of their own, {counts.truncated} cut at --max-tokens"
    if counts.reasoning_truncated:
        yield f"reasoning: closed at its limit in {counts.reasoning_truncated} records (--reasoning-tokens)"
    yield (
        f"tokens: {counts.prompt_tokens:,} of prompts, {counts.generated_tokens:,} generated; "
        f"{asking.asked} asked of the model, {asking.reused} taken from the journal"
    )
    yield f"time: {duration(summary.seconds)}, {summary.records_per_minute:,.0f} records a minute"


def _accuracy_lines(counts: Any) -> Iterator[str]:
    if counts.accuracy is None:
        return
    line = f"accuracy: {_share(counts.correct, counts.scored)} with gold"
    if counts.inconsistent_scored:
        decided = counts.scored - counts.inconsistent_scored
        line += ", orders that disagree counting as wrong"
        line += f"; {_share(counts.correct, decided)} where they agree" if decided else ""
    yield line


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else f"{part} of {whole}"
