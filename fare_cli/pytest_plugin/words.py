"""What a failed test says: the answers, the verdict, its probability, and why the judge thinks so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fare_cli.errors import visible
from fare_cli.pytest_plugin.cases import UNDECIDED, Case
from fare_cli.verdicts import Judgement, Verdict

# Fields that are shown, and their names for people; of the others the judge sees nothing.
_SHOWN = {
    "question": "question",
    "context": "context",
    "reference": "reference",
    "answer_a": "answer A",
    "answer_b": "answer B",
    "answer": "answer",
    "steps": "steps",
    "rubric": "rubric",
    "criteria": "criteria",
}
_WIDTH = max(map(len, [*_SHOWN.values(), "probabilities"])) + 2
# What a screen holds of one text; -vv shows all of it.
_MOST_CHARACTERS = 1000


def outcome(case: Case, verdict: Verdict) -> str:
    """How a case came out, in the words of the summary."""
    if verdict.status != "ok":
        return "invalid"
    return "as expected" if case.is_met(verdict) else "not as expected"


def objection(failed: Sequence[tuple[Case, Verdict]], describe: Callable[[str], str], *, full: bool) -> tuple[str, str]:
    """Why a test fails, whole and in one line. `describe` gives the judge of a task in words; texts are cut unless
    `full`."""
    parts = ["\n".join(_paragraph(case, verdict, describe(case.task), full=full)) for case, verdict in failed]
    first = _headline(*failed[0])
    return "\n\n".join(parts), first if len(failed) == 1 else f"{first}, and {len(failed) - 1} more"


def _headline(case: Case, verdict: Verdict) -> str:
    if verdict.status != "ok":
        error = verdict.error
        return visible(f"no verdict: {error.message} ({error.kind})" if error else "no verdict")
    return visible(f"expected {case.expected}, the judge says {_said(verdict)}")


def _said(verdict: Verdict) -> str:
    if verdict.task == "score":
        sure = "" if verdict.confidence is None else f", most probably {verdict.score} ({verdict.confidence:.2f})"
        return f"{verdict.points():.2f}{sure}"
    if verdict.verdict is None:
        return f"{UNDECIDED}: another answer in each order"
    return verdict.verdict + ("" if verdict.confidence is None else f" (probability {verdict.confidence:.2f})")


def _paragraph(case: Case, verdict: Verdict, judge: str, *, full: bool) -> Iterator[str]:
    yield f"{case.file}:{case.line}: {_headline(case, verdict)}"
    for field, name in _SHOWN.items():
        if case.record.get(field) is not None:
            yield from _texts(name, _text(case.record[field]), full=full)
    if verdict.probabilities is not None:
        yield _line("probabilities", _probabilities(verdict.probabilities))
    for name, one in (verdict.criteria or {}).items():
        told = "" if one.expected_score is None else f"{one.expected_score:.2f}, most probably "
        yield _line(name, f"{told}{one.score}")
    for judgement in verdict.judgments:
        yield from _judgement(judgement, full=full)
    if verdict.status == "ok":
        yield _line("judge", judge)


def _judgement(one: Judgement, *, full: bool) -> Iterator[str]:
    """What one ask gave, where it says more than the verdict does."""
    if one.order is not None:
        shown = "A first" if one.order == "ab" else "B first"
        share = f" ({one.probabilities[one.label]:.2f})" if one.probabilities else ""
        yield _line(shown, f"{one.means}{share}")
    if one.critique:
        yield from _texts("critique", one.critique, full=full)


def _probabilities(values: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {share:.2f}" for label, share in values.items())


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(step, str) for step in value):
        return "\n".join(f"{index}. {step}" for index, step in enumerate(value))
    return json.dumps(value, ensure_ascii=False)


def _texts(name: str, text: str, *, full: bool) -> Iterator[str]:
    lines = visible(text).rstrip("\n")
    if not full and len(lines) > _MOST_CHARACTERS:
        more = len(lines) - _MOST_CHARACTERS
        lines = f"{lines[:_MOST_CHARACTERS]}\n[{more:,} more characters: -vv shows them]"
    first, *rest = lines.split("\n")
    yield _line(name, first)
    yield from (_line("", line) for line in rest)


def _line(name: str, text: str) -> str:
    return f"  {name:{_WIDTH}}{text}".rstrip()
