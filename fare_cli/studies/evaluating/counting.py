"""What was judged, what could not be, and what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from fare_cli.meta.clusters import clustered_proportion
from fare_cli.report.model import Value
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part, measures_table


class Timing(NamedTuple):
    """How long judging took, without loading the model; `reused` asks were answered by a journal, of `asks` in all."""

    seconds: float
    asks: int
    reused: int


def record_parts(cases: Sequence[Case]) -> list[Part]:
    """Records by what became of them; the invalid ones by kind."""
    clusters = clusters_of(cases)
    kinds = Counter(case.invalid for case in cases if case.invalid is not None)
    found = judged(cases)
    rows: list[tuple[str, Value]] = [
        ("records", len(cases)),
        ("clusters", len(set(clusters))),
        ("invalid", clustered_proportion([case.invalid is not None for case in cases], clusters)),
        *((f"invalid: {kind}", count) for kind, count in sorted(kinds.items())),
        ("undecided", _some(sum(case.is_undecided for case in found))),
        ("without gold", _some(sum(case.gold is None for case in found))),
        ("gold this judge cannot be right or wrong about", _some(_not_comparable(found))),
        ("without a verdict line of its own", _some(sum(case.forced for case in found))),
        ("cut at --max-tokens", _some(sum(case.truncated for case in found))),
    ]
    note = (
        "A cluster is what has one group, or else one question: all intervals take clusters, not records, as "
        "independent. An invalid record could not be judged; it is in no other figure."
    )
    return [measures_table("records", "records", rows, note)]


def cost_parts(cases: Sequence[Case], timing: Timing | None) -> list[Part]:
    """Tokens and time."""
    count = len(judged(cases))
    if not count:
        return []
    prompt = sum(case.usage.prompt_tokens for case in cases)
    generated = sum(case.usage.generated_tokens for case in cases)
    rows: list[tuple[str, Value]] = [
        ("prompt tokens", prompt),
        ("prompt tokens a record", round(prompt / count, 1)),
        ("generated tokens", generated),
        ("generated tokens a record", round(generated / count, 1) if generated else None),
    ]
    note = "Tokens of all asks of a record; a prefix that several share is counted for each."
    if timing is None:
        note += " How long it took is not known."
    elif timing.reused < timing.asks:
        rows += [("seconds", timing.seconds), ("records a minute", 60 * len(cases) / max(timing.seconds, 1e-9))]
        if timing.reused:
            note += f" Of {timing.asks} asks {timing.reused} were answered by an earlier run: the time is without them."
    else:
        note += " All replies come from an earlier run, so there is no time."
    return [measures_table("cost", "tokens and time", rows, note)]


def _not_comparable(cases: Sequence[Case]) -> int:
    return sum(case.gold is not None and case.correct is None for case in cases)


def _some(count: int) -> int | None:
    """None for none, so that the row is left out."""
    return count or None
