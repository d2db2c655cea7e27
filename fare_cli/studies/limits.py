"""Limits that a study must keep (`--fail-on flips=2%`): how they are read, and how intervals decide on them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Protocol

from fare_cli.errors import ExitCode, UsageError
from fare_cli.meta.agreement import Interval

# Of these the value is no share, and is shown as it is.
_NUMBERS = frozenset({"kappa"})


class Limit(NamedTuple):
    """What is measured, and the value it must not pass; which side is the wrong one is the study's to say."""

    measure: str
    value: float

    @property
    def words(self) -> str:
        return f"{self.measure}={self.value:g}" if self.measure in _NUMBERS else f"{self.measure}={100 * self.value:g}%"


class Ruling(NamedTuple):
    """Whether a subject (a model, a kind of attack) keeps a limit: OK where the whole 95% interval does, GATE where
    none of it does, else UNDECIDED. `words` says it with the numbers."""

    subject: str
    limit: Limit
    outcome: ExitCode
    words: str

    @property
    def kept(self) -> str:
        """The outcome in one word."""
        return {ExitCode.OK: "kept", ExitCode.GATE: "broken"}.get(self.outcome, "undecided")


def read_limit(text: str, measures: Collection[str], example: str, *, or_none: Collection[str] = ()) -> Limit:
    """A limit as the command line gives it: a share or a percentage, above 0 but for the measures in `or_none`.

    Raises UsageError that quotes `example`.
    """
    measure, equals, value = (part.strip() for part in text.partition("="))
    hint = f"for example --fail-on {example}"
    if measure not in measures or not equals:
        raise UsageError(f"--fail-on {text!r}: one of {', '.join(measures)} with a number is wanted", hint)
    return Limit(measure, read_share(value, f"--fail-on {text!r}", hint, or_none=measure in or_none))


def read_share(text: str, option: str, hint: str, *, or_none: bool = False) -> float:
    """A share or a percentage, above 0 (`or_none`: or 0) and below 1. Raises UsageError that names the option."""
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number + rest) / (100 if percent else 1)
    except ValueError:
        raise UsageError(f"{option}: {text!r} is no number", hint) from None
    # A bare 2 could mean two verdicts as well as 200 percent.
    if not (0 < share < 1 or (or_none and share == 0)):
        raise UsageError(f"{option}: a number between 0 and 1, or a percentage, is wanted", hint)
    return share


def outcome(interval: Interval, *, at_most: float = float("inf"), at_least: float = float("-inf")) -> ExitCode:
    """OK where the whole interval is inside, GATE where it is wholly outside, UNDECIDED where it straddles an end."""
    if at_least <= interval.low and interval.high <= at_most:
        return ExitCode.OK
    if interval.high < at_least or interval.low > at_most:
        return ExitCode.GATE
    return ExitCode.UNDECIDED


class Ruled(Protocol):
    """Whatever was decided on: a Ruling, or what a gate has in its place."""

    @property
    def outcome(self) -> ExitCode: ...


def worst(found: Iterable[Ruled]) -> ExitCode:
    """The exit code of a gate: 1 if any limit is broken, else 4 if any is undecided, else 0."""
    outcomes = {ruling.outcome for ruling in found}
    return next((code for code in (ExitCode.GATE, ExitCode.UNDECIDED) if code in outcomes), ExitCode.OK)
