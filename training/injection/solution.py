"""Worked solutions of GSM8K as graphs: every number of the text is linked to the step that computed it, so that a
change can run on through the steps that use it."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from fractions import Fraction

_MARK = re.compile(r"<<([^<>=]*)=([^<>]*)>>")
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+")
_FINAL = "\n#### "
_BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
_MAX_FORMULA = 200


class Unusable(Exception):
    """A solution in which no error can be injected by these means; the reason is short and can be counted."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written. `source` is the step that computed it; None if it is given in the question or is
    general knowledge (12 months)."""

    text: str
    source: int | None = None

    @property
    def value(self) -> Fraction:
        return Fraction(self.text.replace(",", ""))


Token = str | Number
Tokens = tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a solution. A step that calculates has `formula` and the index of its result among `tokens`. It is
    `ambiguous` where it names a number before that is the result or one of the question: then nobody can tell whether a
    change of the one is a change of the other."""

    tokens: Tokens
    formula: Tokens = ()
    result: int | None = None
    ambiguous: bool = False

    @property
    def text(self) -> str:
        return rendered(self.tokens)

    @property
    def value(self) -> Fraction:
        """The result as it is written; only of a step that calculates."""
        assert self.result is not None
        result = self.tokens[self.result]
        assert isinstance(result, Number)
        return result.value

    def uses(self, source: int) -> bool:
        """Whether it calculates with what step `source` found."""
        return any(isinstance(token, Number) and token.source == source for token in self.formula)


@dataclass(frozen=True, slots=True)
class Solution:
    """A question with its worked solution, in which every formula holds and the last result is the answer."""

    question: str
    steps: tuple[Step, ...]

    @property
    def last(self) -> int:
        """The last step that calculates: its result is the answer."""
        return max(index for index, step in enumerate(self.steps) if step.result is not None)

    @property
    def answer(self) -> str:
        step = self.steps[self.last]
        assert step.result is not None
        result = step.tokens[step.result]
        assert isinstance(result, Number)
        return result.text

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(step.text for step in self.steps)


def rendered(tokens: Sequence[Token]) -> str:
    return "".join(token if isinstance(token, str) else token.text for token in tokens)


def numbers_in(text: str) -> list[str]:
    """The numbers of a text as they are written there."""
    return _NUMBER.findall(text)


def parse_solution(question: str, answer: str) -> Solution:
    """The solution in an answer of GSM8K, without its `<<...>>` marks.

    Raises Unusable where a mark cannot be computed or is wrong, a step holds more than one, or the last result is not
    the answer.
    """
    body, found, final = answer.rpartition(_FINAL)
    if not found:
        raise Unusable("no line with ####")
    steps: list[Step] = []
    given = {Number(text).value for text in numbers_in(question)}
    for line in body.split("\n"):
        if line.strip():
            steps.append(_step(line.strip(), len(steps), steps, given))
    if not any(step.result is not None for step in steps):
        raise Unusable("no calculation is marked")
    solution = Solution(question, tuple(steps))
    if not _NUMBER.fullmatch(final.strip()) or Number(final.strip()).value != steps[solution.last].value:
        raise Unusable("the last result is not the answer")
    return solution


def _step(line: str, index: int, earlier: Sequence[Step], given: Set[Fraction]) -> Step:
    marks = list(_MARK.finditer(line))
    if not marks:
        return Step(_linked(line, earlier))
    if len(marks) > 1:
        raise Unusable("a step with several calculations")
    (mark,) = marks
    shown = _NUMBER.match(line, mark.end())
    formula = _linked(mark[1], earlier)
    if shown is None or not any(isinstance(token, str) and set(token) & set("+-*/") for token in formula):
        raise Unusable("a result that is not calculated there")
    result = Number(shown[0], index)
    if result.value <= 0 or evaluate(formula) != result.value:
        raise Unusable("a calculation that does not hold")
    before = list(_linked(line[: mark.start()], earlier))
    places = [place for place, token in enumerate(before) if isinstance(token, Number)]
    operands = sum(isinstance(token, Number) for token in formula)
    ambiguous = False
    for place in places[: len(places) - operands]:
        # "He eats 48 pieces because 32 + 16 = 48": the result, said before it is calculated.
        number = before[place]
        if isinstance(number, Number) and number.value == result.value:
            ambiguous = ambiguous or number.value in given
            before[place] = replace(number, source=index)
    after = _linked(line[shown.end() :], earlier, {index: result.value})
    return Step((*before, result, *after), formula, len(before), ambiguous)


def _linked(text: str, earlier: Sequence[Step], own: Mapping[int, Fraction] | None = None) -> Tokens:
    """The text cut at its numbers, each linked to the latest step with that result."""
    results = {index: step.value for index, step in enumerate(earlier) if step.result is not None} | dict(own or {})
    tokens: list[Token] = []
    at = 0
    for found in _NUMBER.finditer(text):
        value = Number(found[0]).value
        source = max((index for index, result in results.items() if result == value), default=None)
        tokens += [text[at : found.start()], Number(found[0], source)]
        at = found.end()
    return tuple(token for token in (*tokens, text[at:]) if token != "")


def evaluate(formula: Tokens) -> Fraction:
    """The exact value of a formula of numbers, + - * / and parentheses. Raises Unusable for any other."""
    numbers = [token for token in formula if isinstance(token, Number)]
    names = iter(range(len(numbers)))
    text = "".join(token if isinstance(token, str) else f" n{next(names)} " for token in formula)
    try:
        tree = ast.parse(text.strip(), mode="eval") if len(text) <= _MAX_FORMULA else None
        if tree is None:
            raise Unusable("a formula that is too long")
        return _value(tree.body, [number.value for number in numbers])
    except (SyntaxError, ZeroDivisionError) as error:
        raise Unusable("a formula that cannot be computed") from error


def _value(node: ast.expr, numbers: Sequence[Fraction]) -> Fraction:
    if isinstance(node, ast.Name) and node.id[:1] == "n" and node.id[1:].isdecimal():
        return numbers[int(node.id[1:])]
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        found: Fraction = _BINARY[type(node.op)](_value(node.left, numbers), _value(node.right, numbers))
        return found
    raise Unusable("a formula that cannot be computed")


def run_on(solution: Solution, changed: Mapping[int, Step], results: Mapping[int, Fraction]) -> Solution:
    """The solution with the steps of `changed` in place of its own and the results of `results` as they are, and all
    that follows computed from them. Raises Unusable where a number cannot be written as its predecessor was, or the
    result of an ambiguous step changes."""
    values: dict[int, Fraction] = {}
    steps: list[Step] = []
    for index, original in enumerate(solution.steps):
        step = changed.get(index, original)
        formula = _rewritten(step.formula, values)
        if step.result is not None:
            value = results[index] if index in results else evaluate(formula)
            if value != original.value and original.ambiguous:
                raise Unusable("a number that may be the result or one of the question")
            if value != original.value:
                values[index] = value
        steps.append(replace(step, tokens=_rewritten(step.tokens, values), formula=formula))
    return Solution(solution.question, tuple(steps))


def _rewritten(tokens: Tokens, values: Mapping[int, Fraction]) -> Tokens:
    return tuple(
        replace(token, text=written(values[token.source], token.text))
        if isinstance(token, Number) and token.source is not None and token.source in values
        else token
        for token in tokens
    )


def written(value: Fraction, like: str) -> str:
    """`value` written as `like` is: whole or with as many decimals, with or without commas. Raises Unusable where it
    cannot be, or is not positive."""
    whole, _, decimals = like.partition(".")
    scaled = value * 10 ** len(decimals)
    if value <= 0 or scaled.denominator != 1:
        raise Unusable("a number that cannot be written like the one before")
    digits = str(int(scaled)).zfill(len(decimals) + 1)
    head, tail = digits[: len(digits) - len(decimals)], digits[len(digits) - len(decimals) :]
    # What was below 1,000 does not say whether its author writes commas.
    with_commas = "," in whole or (len(whole) < 4 and len(head) > 4)
    text = f"{int(head):,}" if with_commas else head if whole or head != "0" else ""
    return f"{text}.{tail}" if decimals else text
