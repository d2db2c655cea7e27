"""Limits on what quantising may do to verdicts: `flips=2%`, `kappa=0.8`, `accuracy=1%`."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.errors import ExitCode, InvalidRecordsError
from fare_cli.meta.agreement import Interval, records_needed
from fare_cli.report.words import share_in_words
from fare_cli.studies.limits import Limit, Ruling, outcome, read_limit
from fare_cli.studies.quantising import Quantised


def parse_limit(text: str) -> Limit:
    """The most of the verdicts that may flip, the least kappa, or the most points of accuracy that may be lost.

    Raises UsageError.
    """
    return read_limit(text, ("flips", "kappa", "accuracy"), "flips=2%, kappa=0.8 or accuracy=1%")


def rulings(quantised: Sequence[Quantised], limits: Sequence[Limit]) -> list[Ruling]:
    """Every limit on every type. Raises InvalidRecordsError for a limit on accuracy where there is no gold."""
    return [_ruling(row, limit) for row in quantised for limit in limits]


def _ruling(row: Quantised, limit: Limit) -> Ruling:
    made = row.comparison
    if not made.flips.of:
        raise InvalidRecordsError(f"{row.standing.type}: no record was judged by both models, so no limit can be kept")
    if limit.measure == "flips":
        found = outcome(made.flips.interval, at_most=limit.value)
        words = f"{share_in_words(made.flips)} flipped"
        if found is ExitCode.UNDECIDED and not made.flips.cases:
            words += f"; {records_needed(limit.value)} records without a flip would show it"
    elif limit.measure == "kappa":
        # Two lists of one and the same label agree fully, and no kappa can show it.
        interval = None if made.kappa is None else made.kappa.interval
        found = ExitCode.UNDECIDED if interval is None else outcome(interval, at_least=limit.value)
        words = "kappa " + ("is not defined" if made.kappa is None else _number(made.kappa.value, interval))
    else:
        if made.right_change is None or made.right_change.interval is None:
            raise InvalidRecordsError(
                "a limit on accuracy needs records with gold labels", "use --fail-on flips=... without them"
            )
        found = outcome(made.right_change.interval, at_least=-limit.value)
        words = "accuracy changed by " + _number(made.right_change.value, made.right_change.interval)
    return Ruling(row.standing.type, limit, found, words)


def _number(value: float, interval: Interval | None) -> str:
    if interval is None:
        return f"{value:.3f} (no interval can be given)"
    return f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
