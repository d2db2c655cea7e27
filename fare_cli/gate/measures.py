"""What a gate can be about: the value that a verdict has by each measure, and the limits that can be set on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from fare_cli.errors import ExitCode, InputError, UsageError
from fare_cli.meta.agreement import CONFIDENCE, Interval
from fare_cli.meta.bootstrap import Estimate, mean
from fare_cli.meta.clusters import Clusters, clustered_interval
from fare_cli.report.words import range_in_words
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.evaluating.values import finds_fault, held_right, wins
from fare_cli.studies.limits import outcome, read_share


class Scale(NamedTuple):
    """From the lowest to the highest value that a verdict can have by a measure."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """The value as a number from 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def value(self, share: float) -> float:
        return self.low + share * (self.high - self.low)


class Measure(NamedTuple):
    """`value` of a verdict, None for one that has no part in it. `side` says which values are the better ones: a limit
    is the least ("min") or the most ("max") that the mean may be. `task` is None for a measure of any task."""

    name: str
    side: Literal["min", "max"]
    task: str | None
    words: str
    value: Callable[[Case], float | None]

    @property
    def option(self) -> str:
        return f"{self.side}-{self.name}"

    @property
    def is_share(self) -> bool:
        return self.name != "score"


def _score(case: Case) -> float | None:
    return None if case.scale is None or case.scale[0] == case.scale[1] else case.expected_score


MEASURES = (
    Measure(
        "win-rate",
        "min",
        "pairwise",
        "share of pairs that answer_b wins, ties and undecided pairs counted half",
        wins,
    ),
    Measure("right", "min", "verify", "share of answers held right", held_right),
    Measure("wrong-steps", "max", "step", "share of solutions with a step held wrong", finds_fault),
    Measure("score", "min", "score", "mean expected score", _score),
    Measure(
        "accuracy",
        "min",
        None,
        "share of verdicts that are gold, no verdict counted as wrong",
        lambda case: None if case.correct is None else float(case.correct),
    ),
)
"""In the order in which help and reports have them; the first of a task is the one that a baseline is compared by."""

_BY_OPTION = {measure.option: measure for measure in MEASURES}


class GateLimit(NamedTuple):
    """The least, or the most, that the mean of a measure may be."""

    measure: Measure
    value: float

    @property
    def words(self) -> str:
        """As the command line has it: `min-win-rate=50%`."""
        shown = f"{100 * self.value:g}%" if self.measure.is_share else f"{self.value:g}"
        return f"{self.measure.option}={shown}"

    def outcome(self, interval: Interval) -> ExitCode:
        """OK where the whole interval keeps the limit, GATE where none of it does, else UNDECIDED."""
        if self.measure.side == "min":
            return outcome(interval, at_least=self.value)
        return outcome(interval, at_most=self.value)


def parse_limit(option: str, value: str) -> GateLimit:
    """A limit by its option's name (`min-win-rate`) and value: a share (0.5, 50%), or a score.

    Raises UsageError for a measure that there is not, or a value that cannot be.
    """
    measure = _BY_OPTION.get(option)
    if measure is None:
        raise UsageError(f"there is no limit {option!r}", f"there are {', '.join(_BY_OPTION)}")
    hint = f"for example --{option} {'50%' if measure.is_share else '3.5'}"
    if measure.is_share:
        return GateLimit(measure, read_share(value, f"--{option}", hint))
    try:
        return GateLimit(measure, float(value))
    except ValueError:
        raise UsageError(f"--{option}: {value!r} is no number", hint) from None


def check_task(limits: Iterable[GateLimit], task: str) -> None:
    """Raises UsageError for a limit that is about another task."""
    for limit in limits:
        if limit.measure.task not in (None, task):
            fitting = [name for name, one in _BY_OPTION.items() if one.task in (None, task)]
            raise UsageError(
                f"--{limit.measure.option} is about {limit.measure.task}, and these are verdicts of {task}",
                f"for {task} there are {' and '.join(f'--{name}' for name in fitting)}",
            )


def scale_of(measure: Measure, cases: Iterable[Case]) -> Scale:
    """The scale that all these verdicts have by the measure. Raises InputError where they have several."""
    if measure.is_share:
        return Scale(0.0, 1.0)
    scales = {Scale(*map(float, case.scale)) for case in cases if case.scale is not None}
    if len(scales) > 1:
        raise two_scales(sorted(scales))
    return scales.pop()


def two_scales(scales: Sequence[Scale]) -> InputError:
    """The error of records whose scores cannot be taken together."""
    named = " and ".join(f"{scale.low:g} to {scale.high:g}" for scale in scales)
    return InputError(f"the records have several scales ({named}): their scores have no common mean")


def check_on_scale(limit: GateLimit, scale: Scale) -> None:
    """Raises UsageError for a limit that no verdict could keep, or none break."""
    if not scale.low < limit.value < scale.high:
        raise UsageError(f"--{limit.words}: scores are from {scale.low:g} to {scale.high:g} here")


def mean_on_scale(
    values: Sequence[float], scale: Scale, clusters: Clusters, *, is_share: bool, confidence: float
) -> Estimate | None:
    """The mean with its interval; None without any value.

    A share has the interval of `clustered_interval`. A mean of scores has the bootstrap's, and where that cannot tell
    (fewer than 6 clusters, one score throughout) the one of a share, which is at least as wide.
    """
    if not values:
        return None
    shares = [scale.share(value) for value in values]
    found = None if is_share else mean(shares, clusters, confidence=confidence)
    interval = None if found is None else found.interval
    if interval is None:
        interval = clustered_interval(shares, clusters, confidence=confidence)
    value = scale.value(sum(shares) / len(shares))
    return Estimate(value, Interval(scale.value(interval.low), scale.value(interval.high)))


def worst_cases(measure: Measure, cases: Iterable[Case]) -> list[Case]:
    """The cases that count against a limit on the measure, the worst first: of shares those that add nothing to it, of
    scores the lowest."""
    sign = 1 if measure.side == "min" else -1
    valued = [(sign * value, case) for case in cases if (value := measure.value(case)) is not None]
    if measure.is_share and valued:
        worst_value = 0.0 if measure.side == "min" else -1.0
        return [case for value, case in valued if value == worst_value]
    return [case for _, case in sorted(valued, key=lambda one: one[0])]


def value_in_words(measure: Measure, value: float) -> str:
    """`56.7%`, or `3.412` for a score."""
    return f"{value:.1%}" if measure.is_share else f"{value:.3f}"


def figure_in_words(measure: Measure, found: Estimate) -> str:
    """`56.7% (45.1% to 67.6%)`."""
    interval = found.interval
    if interval is None:
        return value_in_words(measure, found.value)
    shown = f"{interval.low:.1%} to {interval.high:.1%}" if measure.is_share else range_in_words(interval)
    return f"{value_in_words(measure, found.value)} ({shown})"


def read_confidence(text: str | None) -> float:
    """The confidence that an option gives (95%), or the usual one. Raises UsageError for less than a coin's."""
    if text is None:
        return CONFIDENCE
    hint = "for example --confidence 95%"
    found = read_share(text, "--confidence", hint)
    if found < 0.5:
        raise UsageError(f"--confidence {text}: less than 50% is no confidence", hint)
    return found


def read_drop(text: str, measures: Sequence[Measure]) -> float:
    """How much worse a run may be than its baseline: a share, or points where the measure is a score."""
    hint = "for example --max-drop 2%, or 0.1 points of a score"
    if all(measure.is_share for measure in measures):
        return read_share(text, "--max-drop", hint)
    try:
        found = float(text)
    except ValueError:
        raise UsageError(f"--max-drop: {text!r} is no number", hint) from None
    if not 0 <= found < math.inf:
        raise UsageError(f"--max-drop {text}: must be 0 or more", hint)
    return found
