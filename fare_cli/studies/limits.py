"""Limits on what quantising may do to verdicts: `flips=2%`, `kappa=0.8`, `accuracy=1%`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast, get_args

from fare_cli.errors import ExitCode, InvalidRecordsError, UsageError
from fare_cli.meta.agreement import Interval, records_needed
from fare_cli.report.words import share_in_words
from fare_cli.studies.quantising import Quantised

Measure = Literal["flips", "kappa", "accuracy"]


class Limit(NamedTuple):
    """The most of the verdicts that may flip, the least kappa, or the most points of accuracy that may be lost."""

    measure: Measure
    value: float

    @property
    def words(self) -> str:
        return f"{self.measure}={self.value:g}" if self.measure == "kappa" else f"{self.measure}={100 * self.value:g}%"


class Ruling(NamedTuple):
    """Whether a type keeps a limit: OK where the whole 95% interval does, GATE where none of it does, else
    UNDECIDED. `words` says it with the numbers."""

    type: str
    limit: Limit
    outcome: ExitCode
    words: str


def parse_limit(text: str) -> Limit:
    """A limit as the command line gives it: a share or a percentage. Raises UsageError."""
    measure, equals, value = (part.strip() for part in text.partition("="))
    number, percent, rest = value.partition("%")
    hint = "for example --fail-on flips=2%, kappa=0.8 or accuracy=1%"
    if measure not in get_args(Measure) or not equals or rest:
        raise UsageError(f"--fail-on {text!r}: one of {', '.join(get_args(Measure))} with a number is wanted", hint)
    try:
        limit = float(number) / (100 if percent else 1)
    except ValueError:
        raise UsageError(f"--fail-on {text!r}: {value!r} is no number", hint) from None
    # A bare 2 could mean two verdicts as well as 200 percent.
    if not 0 < limit < 1:
        raise UsageError(f"--fail-on {text!r}: a number between 0 and 1, or a percentage, is wanted", hint)
    return Limit(cast(Measure, measure), limit)


def rulings(quantised: Sequence[Quantised], limits: Sequence[Limit]) -> list[Ruling]:
    """Every limit on every type. Raises InvalidRecordsError for a limit on accuracy where there is no gold."""
    return [_ruling(row, limit) for row in quantised for limit in limits]


def worst(found: Sequence[Ruling]) -> ExitCode:
    """The exit code of a gate: 1 if any limit is broken, else 4 if any is undecided, else 0."""
    outcomes = {ruling.outcome for ruling in found}
    return next((code for code in (ExitCode.GATE, ExitCode.UNDECIDED) if code in outcomes), ExitCode.OK)


def _ruling(row: Quantised, limit: Limit) -> Ruling:
    made = row.comparison
    if not made.flips.of:
        raise InvalidRecordsError(f"{row.standing.type}: no record was judged by both models, so no limit can be kept")
    if limit.measure == "flips":
        outcome = _outcome(made.flips.interval, at_most=limit.value)
        words = f"{share_in_words(made.flips)} flipped"
        if outcome is ExitCode.UNDECIDED and not made.flips.cases:
            words += f"; {records_needed(limit.value)} records without a flip would show it"
    elif limit.measure == "kappa":
        # Two lists of one and the same label agree fully, and no kappa can show it.
        interval = None if made.kappa is None else made.kappa.interval
        outcome = ExitCode.UNDECIDED if interval is None else _outcome(interval, at_least=limit.value)
        words = "kappa " + ("is not defined" if made.kappa is None else _number(made.kappa.value, interval))
    else:
        if made.right_change is None or made.right_change.interval is None:
            raise InvalidRecordsError(
                "a limit on accuracy needs records with gold labels", "use --fail-on flips=... without them"
            )
        outcome = _outcome(made.right_change.interval, at_least=-limit.value)
        words = "accuracy changed by " + _number(made.right_change.value, made.right_change.interval)
    return Ruling(row.standing.type, limit, outcome, words)


def _outcome(interval: Interval, *, at_most: float = float("inf"), at_least: float = float("-inf")) -> ExitCode:
    if at_least <= interval.low and interval.high <= at_most:
        return ExitCode.OK
    if interval.high < at_least or interval.low > at_most:
        return ExitCode.GATE
    return ExitCode.UNDECIDED


def _number(value: float, interval: Interval | None) -> str:
    if interval is None:
        return f"{value:.3f} (no interval can be given)"
    return f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
