"""An injected error, and the records with gold that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from training.form.shortcuts import Pair

TASKS = ("pairwise", "verify", "reference", "step")


@dataclass(frozen=True, slots=True)
class Injection:
    """A right and a wrong answer to one question. What a judge says about either, true by construction, is in
    `on_right` and `on_wrong`, and does not name a side. `step` is the first wrong of `wrong_steps`, 0-based. To
    verify both against a reference (task `reference`), there is `reference`, which is what the right answer comes to;
    `wrong_end` says what the wrong one comes to, where that can be said in a word."""

    kind: str
    group: str
    question: str
    right: str
    wrong: str
    on_right: str
    on_wrong: str
    old: str
    new: str
    tasks: tuple[str, ...] = ("pairwise", "verify")
    right_steps: tuple[str, ...] = ()
    wrong_steps: tuple[str, ...] = ()
    step: int | None = None
    context: str | None = None
    protocol: str | None = None
    reference: str | None = None
    wrong_end: str | None = None

    @property
    def pair(self) -> Pair:
        return Pair(self.group, self.question, self.right, self.wrong)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Injection:
        lists = {name: tuple(values[name]) for name in ("tasks", "right_steps", "wrong_steps")}
        return cls(**values | lists)


def records_of(injection: Injection, name: str, *, right_is_a: bool, **more: Any) -> Iterator[dict[str, Any]]:
    """The records of one injected error, as JSON values: a pair, both answers to verify (also against a
    reference), both to find the wrong step in. `more` are further fields of all, such as `source` and
    `licence`."""
    both: dict[str, Any] = {"group": injection.group, "question": injection.question}
    both |= {key: value for key in ("context", "protocol") if (value := getattr(injection, key)) is not None}
    found: dict[str, Any] = {"kind": injection.kind, "from": injection.old, "to": injection.new}
    injected = found if injection.step is None else found | {"step": injection.step}
    none = {"kind": "none"}
    if "pairwise" in injection.tasks:
        answers = (injection.right, injection.wrong) if right_is_a else (injection.wrong, injection.right)
        right, wrong = "AB" if right_is_a else "BA"
        yield {
            "id": f"{name}-pair", "category": injection.kind, **both,
            "answer_a": answers[0], "answer_b": answers[1], "gold": right,
            "injected": injected, **more,
            "critique": f"Answer {wrong} is wrong. {injection.on_wrong} Answer {right} is right. {injection.on_right}",
        }  # fmt: skip
    sides: tuple[tuple[Any, ...], ...] = (
        ("right", injection.right, injection.right_steps, "yes", -1, none, injection.on_right, injection.reference),
        ("wrong", injection.wrong, injection.wrong_steps, "no", injection.step, injected, injection.on_wrong,
         injection.wrong_end),
    )  # fmt: skip
    for side, answer, steps, label, step, error, critique, end in sides:
        rest = {"injected": error, **more, "critique": critique}
        judged = {"category": injection.kind, **both, "answer": answer, "gold": label}
        if "verify" in injection.tasks:
            yield {"id": f"{name}-{side}", **judged, **rest}
        if "reference" in injection.tasks:
            said = _compared(end, injection.reference) if injection.wrong_end is not None else critique
            against = {"reference": injection.reference, **rest, "critique": said}
            yield {"id": f"{name}-{side}-reference", **judged, **against}
        if "step" in injection.tasks:
            yield {
                "id": f"{name}-{side}-steps", "category": injection.kind, **both,
                "steps": list(steps), "gold": step, **rest,
            }  # fmt: skip


def _compared(end: str | None, reference: str | None) -> str:
    if end == reference:
        return f"The answer comes to {end}, and so does the reference."
    return f"The answer comes to {end}, but the reference says {reference}."
