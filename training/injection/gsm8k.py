"""GSM8K: rows of worked solutions to injected errors, checked, with what a judge would say of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction

from fare_cli.importers.row import Row
from training.form.balance import choose
from training.form.shortcuts import Pair
from training.injection.item import TASKS, Injection
from training.injection.maths import KINDS, Slip, slips
from training.injection.numbers import Frequencies
from training.injection.solution import Solution, Tokens, Unusable, evaluate, numbers_in, parse_solution, rendered

FAMILIES = (("result",), ("quantity",), ("operator",), ("dropped", "doubled"), ("swapped",))
"""Kinds that are chosen together: a dropped step makes a solution shorter and a doubled one longer."""


def inject_maths(rows: Iterable[Row], seed: int, counts: Counter[str]) -> list[Injection]:
    """One error for each usable row, in their order; `counts` says what became of the rows."""
    solutions: dict[str, Solution] = {}
    for row in rows:
        question, answer = row.text("question"), row.text("answer")
        try:
            solutions[f"gsm8k-{row.line}"] = parse_solution(question, answer)
        except Unusable as error:
            counts[f"skipped: {error}"] += 1
    frequencies = Frequencies(solutions.values())
    by_family: dict[tuple[str, ...], dict[str, list[Slip]]] = {family: {} for family in FAMILIES}
    for group, solution in solutions.items():
        rng = random.Random(f"{seed}/{group}")
        for family in rng.sample(FAMILIES, len(FAMILIES)):
            if found := [slip for kind in family for slip in slips(kind, solution, frequencies, rng)]:
                by_family[family][group] = found
                break
        else:
            counts["skipped: no error of a natural form"] += 1
    made: dict[str, Injection] = {}
    for possible in by_family.values():
        names = list(possible)
        chosen = choose([[_pair(name, slip) for slip in possible[name]] for name in names], seed)
        for name, index in zip(names, chosen, strict=True):
            made[name] = _injection(name, possible[name][index], random.Random(f"{seed}/{name}/words"))
    return [made[name] for name in solutions if name in made]


def _pair(group: str, slip: Slip) -> Pair:
    right, wrong = _answers(slip)
    return Pair(group, slip.right.question, right, wrong)


def _answers(slip: Slip) -> tuple[str, str]:
    answer = slip.right.answer if slip.kind == "swapped" else slip.wrong.answer
    right = "\n".join((*slip.right.texts, f"The answer is {slip.right.answer}."))
    return right, "\n".join((*slip.wrong.texts, f"The answer is {answer}."))


def _injection(group: str, slip: Slip, rng: random.Random) -> Injection:
    check(slip)
    right, wrong = _answers(slip)
    # With two steps swapped the answer is still right: whether to call such a solution wrong is a matter of taste.
    tasks = ("pairwise", "step") if slip.kind == "swapped" else TASKS
    return Injection(
        kind=slip.kind,
        group=group,
        question=slip.right.question,
        right=right,
        wrong=wrong,
        on_right=_on_right(slip.right, rng),
        on_wrong=_on_wrong(slip, rng),
        old=slip.old,
        new=slip.new,
        tasks=tasks,
        right_steps=slip.right.texts,
        wrong_steps=slip.wrong.texts,
        step=slip.step,
        reference=slip.right.answer,
        wrong_end=slip.wrong.answer,
    )


def check(slip: Slip) -> None:
    """Proves by recomputing that the right solution is right, and that the first wrong step is the first one that
    differs, says something false, and is the only cause. Raises AssertionError where the injector has a fault."""
    right, wrong, step = slip.right.steps, slip.wrong.steps, slip.step
    assert len(right) == len(wrong)
    assert all(evaluate(one.formula) == one.value for one in right if one.result is not None)
    differs = [index for index, (one, other) in enumerate(zip(right, wrong, strict=True)) if one.text != other.text]
    assert differs[0] == step
    false = [index for index, one in enumerate(wrong) if one.result is not None and evaluate(one.formula) != one.value]
    if slip.kind == "swapped":
        given = {Fraction(number.replace(",", "")) for number in numbers_in(slip.right.question)}
        known = given | {one.value for one in wrong[:step] if one.result is not None}
        assert right[step].value not in known
        assert wrong[step + 1].text == right[step].text
        assert not false
    else:
        assert wrong[step].value != right[step].value
        assert wrong[slip.wrong.last].value != right[slip.right.last].value
        # A wrong result is the only kind in which a calculation is false in itself; the others set up a wrong one.
        assert false == ([step] if slip.kind == "result" else [])


_RIGHT = (
    "Every calculation holds: {sums}. The answer {answer} follows.",
    "Checked step by step: {sums}. So {answer} is what was asked for.",
    "The steps fit the question and their results are right ({sums}), which gives {answer}.",
)

_WRONG: dict[str, Sequence[str]] = {
    "result": (
        "Step {step} calculates wrongly: {sum} is {value}, not {new}.",
        "The first mistake is in step {step}, where {sum} is said to be {new}. It is {value}.",
        "In step {step} the result is wrong: {new} instead of {value} for {sum}.",
    ),
    "quantity": (
        "Step {step} uses {new} where {old} belongs: it should be {sum} = {value}.",
        "The first mistake is in step {step}: it takes {new} in place of {old}, and so does not get {value}.",
        "In step {step} the wrong quantity is used, {new} and not {old}; the step should find {sum} = {value}.",
    ),
    "operator": (
        "Step {step} applies the wrong operation, {new} instead of {old}: it should be {sum} = {value}.",
        "The first mistake is in step {step}, which uses {new} where {old} is needed to get {sum} = {value}.",
        "In step {step} the numbers are combined by {new}, but what is asked there is {sum} = {value}.",
    ),
    "dropped": (
        "A step is missing: step {step} takes {new} where {old} has to be worked out first.",
        "Step {step} is the first wrong one. It uses {new} directly instead of {old}, and does not get {value}.",
        "In step {step} a calculation was left out: {new} stands where {old} belongs, so {value} is missed.",
    ),
    "doubled": (
        "Step {step} does a calculation a second time: {new} where {old} is right. It should give {value}.",
        "The first mistake is in step {step}: {old} was found already, and {new} works on it again.",
        "In step {step} there is {new} instead of {old}, one operation too many; the result should be {value}.",
    ),
    "swapped": (
        "Step {step} uses {old} before any step has found it: that comes only in the next step.",
        "The order is wrong: step {step} needs {old}, which is worked out after it.",
        "In step {step} the number {old} comes from nowhere; the step that finds it follows later.",
    ),
}
assert set(_WRONG) == set(KINDS)


def _on_right(solution: Solution, rng: random.Random) -> str:
    sums = ", ".join(
        f"{_sum(step.formula)} = {rendered((step.tokens[step.result],))}"
        for step in solution.steps
        if step.result is not None
    )
    return rng.choice(_RIGHT).format(sums=sums, answer=solution.answer)


def _on_wrong(slip: Slip, rng: random.Random) -> str:
    right = slip.right.steps[slip.step]
    values: dict[str, object] = {"step": slip.step, "old": slip.old, "new": slip.new}
    if right.result is not None:
        values |= {"sum": _sum(right.formula), "value": rendered((right.tokens[right.result],))}
    return rng.choice(_WRONG[slip.kind]).format(**values)


def _sum(formula: Tokens) -> str:
    return rendered(formula).strip()
