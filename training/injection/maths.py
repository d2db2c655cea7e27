"""Errors in worked solutions: one wrong step, the steps after it computed from what it found."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from training.form.numbers import form
from training.injection.numbers import Frequencies
from training.injection.solution import (
    Number,
    Solution,
    Step,
    Tokens,
    Unusable,
    numbers_in,
    rendered,
    run_on,
)

_MOST = 24
_DRAWS = 12
"""Values tried for one wrong result: few of them can be run on through later divisions."""

_SIGNS = {"+": "+", "-": "-", "−": "-", "–": "-", "*": "*", "x": "*", "×": "*", "/": "/", "÷": "/"}
_SIGN = re.compile(r"(?<![^\s\d)$%])[-+*/x×÷−–](?![^\s\d($])")
_SHOWN = {"+": "+", "-": "-", "*": "*", "/": "/"}


@dataclass(frozen=True, slots=True)
class Slip:
    """A solution gone wrong. `step` is the first wrong step of `wrong`, 0-based; `old` and `new` are what stands there
    in `right` and in `wrong`. `right` is the original, but for a dropped step (see `_dropped`)."""

    kind: str
    right: Solution
    wrong: Solution
    step: int
    old: str
    new: str


def slips(kind: str, solution: Solution, frequencies: Frequencies, rng: random.Random) -> list[Slip]:
    """At most 24 of the errors of a kind that can be injected without a result of another form. In each the answer is
    wrong, except where two steps are swapped."""
    found = list(_KINDS[kind](solution, frequencies, rng))
    rng.shuffle(found)
    return [slip for slip in found[:_MOST] if (kind == "swapped" or _is_wrong(slip)) and keeps_form(slip)]


def _is_wrong(slip: Slip) -> bool:
    last = slip.wrong.steps[slip.wrong.last]
    return last.value != slip.right.steps[slip.right.last].value


def _tried(make: Callable[..., Slip], *arguments: Any) -> Iterator[Slip]:
    try:
        slip = make(*arguments)
    except Unusable:
        return
    yield slip


def _calculating(solution: Solution) -> list[int]:
    return [index for index, step in enumerate(solution.steps) if step.result is not None]


def _result(solution: Solution, frequencies: Frequencies, rng: random.Random) -> Iterator[Slip]:
    """A calculation with a wrong result, of the form of the right one and as common."""
    for index in _calculating(solution):
        step = solution.steps[index]
        assert step.result is not None
        old = rendered((step.tokens[step.result],))
        values, counts = frequencies.like(old)
        drawn = set(rng.choices(values, counts, k=_DRAWS)) - {step.value} if values else set()
        for value in sorted(drawn):
            yield from _tried(_with_result, solution, index, value, old)


def _with_result(solution: Solution, index: int, value: Fraction, old: str) -> Slip:
    wrong = run_on(solution, {}, {index: value})
    step = wrong.steps[index]
    assert step.result is not None
    # The line may say the number again in words of its own; only the result and what uses it changes.
    return Slip("result", solution, wrong, index, old, rendered((step.tokens[step.result],)))


def _quantity(solution: Solution, frequencies: Frequencies, rng: random.Random) -> Iterator[Slip]:
    """A calculation with a number of the question, or an earlier result, that does not belong there."""
    given = [Number(text) for text in dict.fromkeys(numbers_in(solution.question))]
    for index in _calculating(solution):
        step = solution.steps[index]
        shown = shown_formula(step)
        if shown is None:
            continue
        earlier = [
            number
            for before in solution.steps[:index]
            if before.result is not None and isinstance(number := before.tokens[before.result], Number)
        ]
        formula_places = [place for place, token in enumerate(step.formula) if isinstance(token, Number)]
        for place, in_formula in zip(shown.numbers, formula_places, strict=True):
            old = step.tokens[place]
            assert isinstance(old, Number)
            for new in [*given, *earlier]:
                if new.value != old.value and new.value > 0:
                    changes = {place: (new,)}, {in_formula: (new,)}
                    yield from _tried(_with_tokens, "quantity", solution, index, *changes)


def _operator(solution: Solution, frequencies: Frequencies, rng: random.Random) -> Iterator[Slip]:
    """A calculation with another operator."""
    for index in _calculating(solution):
        step = solution.steps[index]
        shown = shown_formula(step)
        for place, in_formula in shown.signs if shown else ():
            text, sign = step.tokens[place], step.formula[in_formula]
            assert isinstance(text, str)
            assert isinstance(sign, str)
            (old,) = set(sign) & set(_SHOWN)
            for new in _SHOWN:
                if new != old:
                    changes = {place: (_SIGN.sub(new, text, count=1),)}, {in_formula: (sign.replace(old, new),)}
                    yield from _tried(_with_tokens, "operator", solution, index, *changes)


def _with_tokens(
    kind: str, solution: Solution, index: int, tokens: dict[int, Tokens], formula: dict[int, Tokens]
) -> Slip:
    """The slip with tokens of the text and of the formula of step `index` replaced."""
    step = solution.steps[index]
    changed = _changed(step, tokens, formula)
    wrong = run_on(solution, {index: changed}, {})
    if wrong.steps[index].value == step.value:
        raise Unusable("the change changes nothing")
    old = rendered(tuple(step.tokens[place] for place in tokens))
    return Slip(kind, solution, wrong, index, old.strip(), rendered(sum(tokens.values(), ())).strip())


def _changed(step: Step, tokens: dict[int, Tokens], formula: dict[int, Tokens]) -> Step:
    """The step with tokens before its result replaced, each by any number of them."""
    assert step.result is not None
    longer = sum(len(new) - 1 for new in tokens.values())
    return replace(
        step,
        tokens=_replaced(step.tokens, tokens),
        formula=_replaced(step.formula, formula),
        result=step.result + longer,
    )


def _replaced(tokens: Tokens, changes: dict[int, Tokens]) -> Tokens:
    return tuple(new for place, token in enumerate(tokens) for new in changes.get(place, (token,)))


@dataclass(frozen=True, slots=True)
class ShownFormula:
    """Where the formula of a step stands in its text: places of its numbers among the tokens, and pairs of places, in
    the text and in the formula, of what stands between them and holds one sign."""

    numbers: tuple[int, ...]
    signs: tuple[tuple[int, int], ...]


def shown_formula(step: Step) -> ShownFormula | None:
    """Where the text shows the formula, number for number and sign for sign, right before its result; else None."""
    assert step.result is not None
    inner = [place for place, token in enumerate(step.formula) if isinstance(token, Number)]
    shown = [place for place in range(step.result) if isinstance(step.tokens[place], Number)][-len(inner) :]
    if len(shown) < len(inner):
        return None
    signs = []
    for place, at in zip(shown, inner, strict=True):
        token, number = step.tokens[place], step.formula[at]
        assert isinstance(token, Number)
        assert isinstance(number, Number)
        if token.value != number.value:
            return None
    for (left, right), (first, second) in zip(_neighbours(shown), _neighbours(inner), strict=True):
        if right != left + 2 or second != first + 2:
            return None
        text, sign = step.tokens[left + 1], step.formula[first + 1]
        assert isinstance(text, str)
        assert isinstance(sign, str)
        if [_SIGNS[found] for found in _SIGN.findall(text)] != [found for found in sign if found in _SHOWN]:
            return None
        signs.append((left + 1, first + 1))
    return ShownFormula(tuple(shown), tuple(signs))


def _neighbours(places: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(places))


def _swapped(solution: Solution, frequencies: Frequencies, rng: random.Random) -> Iterator[Slip]:
    """Two steps in the wrong order: the first calculates with what only the second finds."""
    given = {Number(text).value for text in numbers_in(solution.question)}
    for index in range(len(solution.steps) - 1):
        first, second = solution.steps[index : index + 2]
        known = given | {step.value for step in solution.steps[:index] if step.result is not None}
        if first.result is None or second.result is None or not second.uses(index) or first.value in known:
            continue
        steps = (*solution.steps[:index], second, first, *solution.steps[index + 2 :])
        old = rendered((first.tokens[first.result],))
        yield Slip("swapped", solution, Solution(solution.question, steps), index, old, old)


def _dropped(solution: Solution, frequencies: Frequencies, rng: random.Random) -> Iterator[Slip]:
    """A step left out, so that a later one calculates with what went into it.

    The right solution has that step written into the later one, so that both have as many steps.
    """
    for index, later, place, at in _used_once(solution):
        step = solution.steps[index]
        for operand in step.formula:
            if isinstance(operand, Number) and operand.value != step.value:
                changes = {place: (operand,)}, {at: (operand,)}
                yield from _tried(_drop, solution, index, later, changes, {place: _in_parentheses(step)})


def _drop(solution: Solution, index: int, later: int, changes: Any, inlined: dict[int, Tokens]) -> Slip:
    """The slip without step `index`, whose calculation the right solution shows in place."""
    slip = _with_tokens("dropped", solution, later, *changes)
    steps = list(slip.right.steps)
    steps[slip.step] = _changed(steps[slip.step], inlined, {})
    right, wrong = (
        Solution(slip.right.question, tuple(_renumbered(found, index))) for found in (steps, slip.wrong.steps)
    )
    return Slip(slip.kind, right, wrong, slip.step - 1, rendered(sum(inlined.values(), ())), slip.new)


def _renumbered(steps: list[Step] | tuple[Step, ...], without: int) -> Iterator[Step]:
    """The steps but one, links to those behind it moved."""

    def moved(tokens: Tokens) -> Tokens:
        return tuple(
            replace(token, source=None if token.source == without else token.source - (token.source > without))
            if isinstance(token, Number) and token.source is not None
            else token
            for token in tokens
        )

    for index, step in enumerate(steps):
        if index != without:
            yield replace(step, tokens=moved(step.tokens), formula=moved(step.formula))


def _doubled(solution: Solution, frequencies: Frequencies, rng: random.Random) -> Iterator[Slip]:
    """A calculation done again on its own result: the counterpart of a dropped step, longer by what that is shorter."""
    for index, later, place, at in _used_once(solution):
        step, user = solution.steps[index], solution.steps[later]
        operand = next((token for token in step.formula if isinstance(token, Number)), None)
        shown = shown_formula(step)
        assert operand is not None
        assert shown is not None
        own = user.tokens[place]
        again = replace(
            step,
            tokens=_replaced(step.tokens, {shown.numbers[0]: (own,)}),
            formula=_replaced(step.formula, {step.formula.index(operand): (own,)}),
        )
        text, formula = _in_parentheses(again), ("(", *again.formula, ")")
        changes = {place: text}, {at: formula}
        yield from _tried(_with_tokens, "doubled", solution, later, *changes)


def _used_once(solution: Solution) -> Iterator[tuple[int, int, int, int]]:
    """Steps with two numbers and one sign, whose result is used just once: the step, the step that uses it, and the
    place there in the text and in the formula."""
    for index in _calculating(solution):
        step = solution.steps[index]
        shown = shown_formula(step)
        uses = [
            (later, place)
            for later, other in enumerate(solution.steps)
            for place, token in enumerate(other.tokens)
            if later != index and isinstance(token, Number) and token.source == index
        ]
        if shown is None or len(shown.numbers) != 2 or len(uses) != 1:
            continue
        ((later, place),) = uses
        user = solution.steps[later]
        other = shown_formula(user) if user.result is not None else None
        if other is not None and place in other.numbers:
            places = [at for at, token in enumerate(user.formula) if isinstance(token, Number)]
            yield index, later, place, places[other.numbers.index(place)]


def _in_parentheses(step: Step) -> Tokens:
    """The calculation of a step with two numbers as it is written in place of its result."""
    shown = shown_formula(step)
    assert shown is not None
    left, right = shown.numbers
    between = step.tokens[left + 1]
    assert isinstance(between, str)
    sign = _SIGN.findall(between)[0]
    return "(", step.tokens[left], f" {sign} " if between[:1] == " " else sign, step.tokens[right], ")"


_KINDS: dict[str, Callable[[Solution, Frequencies, random.Random], Iterator[Slip]]] = {
    "result": _result,
    "quantity": _quantity,
    "operator": _operator,
    "dropped": _dropped,
    "doubled": _doubled,
    "swapped": _swapped,
}

KINDS = tuple(_KINDS)


def keeps_form(slip: Slip) -> bool:
    """Whether every result that differs looks like the one that it replaces: as large, as round, as many decimals."""
    if slip.kind == "swapped":
        return True
    return all(
        form(rendered((right.tokens[right.result],))) == form(rendered((wrong.tokens[wrong.result],)))
        for right, wrong in zip(slip.right.steps, slip.wrong.steps, strict=True)
        if right.result is not None and wrong.result is not None
    )
