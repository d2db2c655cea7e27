"""Limits on how far verdicts may change: `flips=2%`, `kappa=0.8`, `accuracy=1%`, `probability=5%`, `invalid=1%`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from fare_cli.errors import ExitCode, InvalidRecordsError
from fare_cli.meta.agreement import Interval, Proportion, records_needed
from fare_cli.report.words import estimate_in_words, share_in_words
from fare_cli.studies.limits import Limit, Ruling, outcome, read_limit
from fare_cli.studies.same_records import Comparison


class _Found(NamedTuple):
    outcome: ExitCode
    words: str


def parse_limit(text: str) -> Limit:
    """A limit on a measure: the most of the verdicts that may flip, of the records that may become invalid, or the mean
    change of a probability; the least kappa; the most points of accuracy that may be lost.

    No flip at all (`flips=0`) is asked of the records at hand, since no number of records shows that none would flip.
    Raises UsageError.
    """
    return read_limit(text, tuple(_RULES), "flips=2%, kappa=0.8 or accuracy=1%", or_none=("flips", "invalid"))


def ruling(subject: str, made: Comparison, limit: Limit) -> Ruling:
    """Whether verdicts keep a limit. Raises InvalidRecordsError where nothing was judged twice, and for a limit on
    accuracy where there is no gold."""
    if not made.flips.of:
        raise InvalidRecordsError(f"{subject}: no record was judged by both, so no limit can be kept")
    found = _RULES[limit.measure](made, limit.value)
    return Ruling(subject, limit, found.outcome, found.words)


def _at_most(share: Proportion, value: float, words: str) -> _Found:
    if not value:
        return _Found(ExitCode.GATE if share.cases else ExitCode.OK, f"{share.cases} of {share.of} {words}")
    found = outcome(share.interval, at_most=value)
    said = f"{share_in_words(share)} {words}"
    if found is ExitCode.UNDECIDED and not share.cases:
        said += f"; {records_needed(value)} records without one would show it"
    return _Found(found, said)


def _flips(made: Comparison, value: float) -> _Found:
    return _at_most(made.flips, value, "flipped")


def _invalid(made: Comparison, value: float) -> _Found:
    return _at_most(made.lost, value, "became invalid")


def _kappa(made: Comparison, value: float) -> _Found:
    # Two lists of one and the same label agree fully, and no kappa can show it.
    interval = None if made.kappa is None else made.kappa.interval
    found = ExitCode.UNDECIDED if interval is None else outcome(interval, at_least=value)
    return _Found(found, "kappa " + ("is not defined" if made.kappa is None else _number(made.kappa.value, interval)))


def _accuracy(made: Comparison, value: float) -> _Found:
    if made.right_change is None or made.right_change.interval is None:
        raise InvalidRecordsError(
            "a limit on accuracy needs records with gold labels", "use --fail-on flips=... without them"
        )
    found = outcome(made.right_change.interval, at_least=-value)
    return _Found(found, f"accuracy changed by {estimate_in_words(made.right_change)}")


def _probability(made: Comparison, value: float) -> _Found:
    if made.moved is None:
        raise InvalidRecordsError("a limit on probability needs verdicts with probabilities")
    if made.moved.interval is None:
        return _Found(ExitCode.UNDECIDED, f"probabilities moved by {_number(made.moved.value, None)}")
    found = outcome(made.moved.interval, at_most=value)
    return _Found(found, f"probabilities moved by {estimate_in_words(made.moved)}")


def _number(value: float, interval: Interval | None) -> str:
    if interval is None:
        return f"{value:.3f} (no interval can be given)"
    return f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


_RULES: Mapping[str, Callable[[Comparison, float], _Found]] = {
    "flips": _flips,
    "kappa": _kappa,
    "accuracy": _accuracy,
    "probability": _probability,
    "invalid": _invalid,
}
