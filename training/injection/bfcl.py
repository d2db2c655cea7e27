"""Errors in tool calls: what a model gets wrong when it calls functions, each proven wrong by the checker."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fare_cli.importers.row import Row
from training.form.balance import choose
from training.form.shortcuts import Pair
from training.injection.calls import (
    Call,
    ToolTask,
    fault,
    has_type,
    properties,
    required,
    right_calls,
    text_of,
    tool_task,
)
from training.injection.item import Injection
from training.injection.solution import numbers_in

PROTOCOL = (
    "The answer is a list of function calls in JSON, for the functions in the context. It is right if it can be parsed "
    "and makes just the calls that the question needs, each with the arguments that are required, no unknown ones, and "
    "values of the right type and meaning. Where none of the functions fits the question, the right answer is []."
)
FAMILIES = (
    ("wrong type",), ("wrong value",), ("missing parameter", "redundant parameter"), ("wrong function",),
    ("missing call", "redundant call"), ("syntax",), ("call without need", "no call"),
)  # fmt: skip
"""Kinds that are chosen together, because one makes an answer shorter and the other longer."""

KINDS = tuple(kind for family in FAMILIES for kind in family)
_MOST = 24


class Corruption(NamedTuple):
    """Wrong calls as text. `why` says what is wrong, `old` and `new` what stands in the right and the wrong text."""

    kind: str
    text: str
    old: str
    new: str
    why: str


class Bank(NamedTuple):
    """What other tasks hold: values and names as natural as the right ones."""

    values: Mapping[str, Sequence[Any]]
    arguments: Sequence[tuple[str, Any]]
    functions: Sequence[str]


def inject_calls(rows: Iterable[Row], answers: Iterable[Row], seed: int, counts: Counter[str]) -> list[Injection]:
    """One error of each family for every row where there is one, in the order of rows and families.

    Raises InputError for a row that has no answer, unless BFCL says that none of its functions fits.
    """
    by_id = {row.text("id"): row for row in answers}
    tasks = [tool_task(row, by_id.get(row.text("id"))) for row in rows]
    rights: list[tuple[ToolTask, list[Call]]] = []
    for task in tasks:
        calls = right_calls(task, with_optional=random.Random(f"{seed}/{task.group}").random() < 0.5)
        if fault(task, text_of(calls)) is None:
            rights.append((task, calls))
        else:
            counts["skipped: the published answer does not pass the check"] += 1
    bank = _bank(calls for _, calls in rights)
    injections: dict[tuple[str, int], Injection] = {}
    for place, family in enumerate(FAMILIES):
        found: list[_Candidates] = []
        for task, calls in rights:
            rng = random.Random(f"{seed}/{task.group}/{place}")
            wrong = [one for kind in family for one in _KINDS[kind](task, calls, bank, rng)]
            rng.shuffle(wrong)
            proven = [one for one in wrong if fault(task, one.text) is not None][:_MOST]
            if proven:
                found.append([(task, text_of(calls), one) for one in proven])
        drawn_from = _evened(family, found, seed)
        if len(drawn_from) < len(found):
            counts[f"not taken, so that as many have {' as '.join(family)}"] += len(found) - len(drawn_from)
        pairs = [
            [Pair(task.group, task.question, right, one.text) for task, right, one in candidates]
            for candidates in drawn_from
        ]
        for candidates, index in zip(drawn_from, choose(pairs, seed), strict=True):
            task, right, chosen = candidates[index]
            injections[task.group, place] = _injection(task, right, chosen, seed)
    order = {task.group: number for number, (task, _) in enumerate(rights)}
    return [injections[key] for key in sorted(injections, key=lambda key: (order[key[0]], key[1]))]


_Candidates = list[tuple[ToolTask, str, Corruption]]
"""What one error is drawn from: a task, its right answer, and a wrong one."""


def _evened(family: tuple[str, ...], found: Sequence[_Candidates], seed: int) -> list[_Candidates]:
    """As many draws from tasks in which only one kind of the family can be as from those in which only the other can: a
    missing call, or no call, makes an answer shorter, and its counterpart makes one longer. Where there are more tasks
    of one kind, several share a draw, so that those are taken whose form is that of the other kind."""
    alone: dict[str, list[_Candidates]] = {kind: [] for kind in family}
    evened = []
    for candidates in found:
        kinds = {one.kind for _, _, one in candidates}
        if len(kinds) == 1 < len(family):
            alone[kinds.pop()].append(candidates)
        else:
            evened.append(candidates)
    least = min(map(len, alone.values()))
    for kind, tasks in alone.items():
        random.Random(f"{seed}/{kind}").shuffle(tasks)
        evened += [[one for task in tasks[start::least] for one in task] for start in range(least)]
    return evened


def _bank(calls: Iterable[list[Call]]) -> Bank:
    values: defaultdict[str, list[Any]] = defaultdict(list)
    arguments: list[tuple[str, Any]] = []
    functions: dict[str, None] = {}
    for call in (call for found in calls for call in found):
        functions[call["name"]] = None
        for name, value in call["arguments"].items():
            arguments.append((name, value))
            values[type(value).__name__].append(value)
    return Bank(values, arguments, list(functions))


def _changed(calls: list[Call], place: int) -> tuple[list[Call], Call]:
    changed = copy.deepcopy(calls)
    return changed, changed[place]


def _arguments(task: ToolTask, calls: list[Call]) -> Iterator[tuple[int, str, Any, str]]:
    """Every argument of every call: place of the call, name, value, and type by the schema."""
    for place, call in enumerate(calls):
        function = task.function(call["name"])
        assert function is not None
        for name, value in call["arguments"].items():
            yield place, name, value, str(properties(function)[name].get("type", "any"))


def _wrong_type(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    for place, name, value, kind in _arguments(task, calls):
        others: list[Any] = [json.dumps(value)] if not isinstance(value, str) else []
        others += [[value]] if not isinstance(value, list) else [value[0]] if value else []
        for other in others:
            if not has_type(other, kind):
                yield _with_value("wrong type", calls, place, name, other, f"must be of type {kind}")


def _wrong_value(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    for place, name, value, _ in _arguments(task, calls):
        same = [
            other for _, other_name, other, _ in _arguments(task, calls)
            if type(other) is type(value) and other_name != name
        ]  # fmt: skip
        same += [number for number in _values_in(task.question) if type(number) is type(value)]
        stock = bank.values[type(value).__name__]
        same += [not value] if isinstance(value, bool) else rng.sample(stock, min(3, len(stock)))
        for other in same:
            if other != value:
                yield _with_value("wrong value", calls, place, name, other, "is not what the question says")


def _with_value(kind: str, calls: list[Call], place: int, name: str, value: Any, why: str) -> Corruption:
    changed, call = _changed(calls, place)
    old, new = json.dumps(call["arguments"][name], ensure_ascii=False), json.dumps(value, ensure_ascii=False)
    call["arguments"][name] = value
    words = f"In the call of {call['name']}, `{name}` is {new}, which {why}; {old} would be right."
    return Corruption(kind, text_of(changed), old, new, words)


def _missing(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    for place, name, value, _ in _arguments(task, calls):
        function = task.function(calls[place]["name"])
        if function is not None and name in required(function):
            changed, call = _changed(calls, place)
            del call["arguments"][name]
            old = json.dumps({name: value}, ensure_ascii=False)
            why = f"The call of {call['name']} leaves out `{name}`, which is required."
            yield Corruption("missing parameter", text_of(changed), old, "nothing", why)


def _redundant(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    for place, call in enumerate(calls):
        function = task.function(call["name"])
        for name, value in rng.sample(bank.arguments, min(8, len(bank.arguments))):
            if function is None or name in properties(function):
                continue
            changed, other = _changed(calls, place)
            entries = list(other["arguments"].items())
            entries.insert(rng.randint(0, len(entries)), (name, value))
            other["arguments"] = dict(entries)
            new = json.dumps({name: value}, ensure_ascii=False)
            why = f"The call of {call['name']} passes `{name}`, which that function does not have."
            yield Corruption("redundant parameter", text_of(changed), "nothing", new, why)


def _wrong_function(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    others = [function["name"] for function in task.functions]
    for place, call in enumerate(calls):
        for name in [*others, *_near_names(call["name"]), *rng.sample(bank.functions, min(4, len(bank.functions)))]:
            if name != call["name"]:
                changed, other = _changed(calls, place)
                other["name"] = name
                known = "does something else" if name in others else "is none of the functions that can be called"
                why = f"It calls {name}, which {known}; the question needs {call['name']}."
                yield Corruption("wrong function", text_of(changed), call["name"], name, why)


_SYNONYMS = (
    ("calculate", "compute"),
    ("get", "fetch"),
    ("find", "search"),
    ("create", "make"),
    ("predict", "forecast"),
)


def _near_names(name: str) -> Iterator[str]:
    """Names that the function could have had: another word for the same, or its words in another order."""
    for one, other in (*_SYNONYMS, *((other, one) for one, other in _SYNONYMS)):
        if name.startswith(one):
            yield other + name.removeprefix(one)
    words = name.split("_")
    if len(words) > 1:
        yield "_".join([*words[1:], words[0]])


def _missing_call(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    if len(calls) > 1:
        for place in range(len(calls)):
            old = json.dumps(calls[place], ensure_ascii=False)
            why = f"The question needs {len(calls)} calls, and one is missing: {old}."
            yield Corruption("missing call", text_of(calls[:place] + calls[place + 1 :]), old, "nothing", why)


def _redundant_call(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    if calls:
        for one in _wrong_value(task, calls, bank, rng):
            extra = next((call for call in json.loads(one.text) if call not in calls), None)
            if extra is not None:
                new = json.dumps(extra, ensure_ascii=False)
                why = f"The question needs {len(calls)} of the calls; this one was not asked for: {new}."
                changed = [*calls, extra]
                yield Corruption("redundant call", text_of(changed), "nothing", new, why)


def _syntax(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    text = text_of(calls)
    for sign in '[]{}",:':
        places = [place for place, found in enumerate(text) if found == sign]
        for place in rng.sample(places, min(2, len(places))):
            why = f"The text cannot be parsed as JSON: a {sign} is missing at character {place}."
            yield Corruption("syntax", text[:place] + text[place + 1 :], sign, "nothing", why)
            why = f"The text cannot be parsed as JSON: at character {place + 1} there is a {sign} too many."
            yield Corruption("syntax", text[: place + 1] + sign + text[place + 1 :], "nothing", sign, why)


def _call_without_need(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    if task.expected:
        return
    why = "It calls {}, which cannot answer the question; no function here can, so none is called."
    for function in task.functions:
        fitting = {name: _fitting(task, schema, bank) for name, schema in properties(function).items()}
        if not all(fitting.get(name) for name in required(function)):
            continue
        for _ in range(_MOST // len(task.functions)):
            with_optional = rng.random() < 0.5
            arguments = {
                name: rng.choice(values)
                for name, values in fitting.items()
                if values and (with_optional or name in required(function))
            }
            text = text_of([{"name": function["name"], "arguments": arguments}])
            yield Corruption("call without need", text, "[]", text, why.format(function["name"]))


def _fitting(task: ToolTask, schema: Mapping[str, Any], bank: Bank) -> list[Any]:
    """Values of an argument's type: the numbers of the question where they fit, else those of other tasks."""
    kind = str(schema.get("type", "any"))
    fitting = [number for number in _values_in(task.question) if has_type(number, kind)]
    return fitting or [value for found in bank.values.values() for value in found if has_type(value, kind)]


def _no_call(task: ToolTask, calls: list[Call], bank: Bank, rng: random.Random) -> Iterator[Corruption]:
    if len(calls) == 1:
        why = f"It calls nothing, although {calls[0]['name']} does what the question asks for."
        yield Corruption("no call", "[]", text_of(calls), "[]", why)


_KINDS: dict[str, Callable[[ToolTask, list[Call], Bank, random.Random], Iterator[Corruption]]] = {
    "wrong type": _wrong_type,
    "wrong value": _wrong_value,
    "missing parameter": _missing,
    "redundant parameter": _redundant,
    "wrong function": _wrong_function,
    "missing call": _missing_call,
    "redundant call": _redundant_call,
    "syntax": _syntax,
    "call without need": _call_without_need,
    "no call": _no_call,
}


def _values_in(text: str) -> list[int | float]:
    """The numbers of a text as values, each once."""
    found = (number.replace(",", "") for number in numbers_in(text))
    return list(dict.fromkeys(float(number) if "." in number else int(number) for number in found))


_RIGHT = (
    "It can be parsed, and its {count} {calls} what the question needs, with the right arguments.",
    "The {count} {calls} the right one for the question; names, types and values of the arguments fit.",
)
_RIGHT_EMPTY = ("None of the functions fits the question, so it is right to call none.",)


def _injection(task: ToolTask, right: str, wrong: Corruption, seed: int) -> Injection:
    rng = random.Random(f"{seed}/{task.group}/{wrong.kind}/words")
    count = len(task.expected)
    calls = "call is" if count == 1 else "calls are"
    words = rng.choice(_RIGHT[:1] if count > 1 else _RIGHT) if count else rng.choice(_RIGHT_EMPTY)
    assert fault(task, right) is None
    assert fault(task, wrong.text) is not None
    return Injection(
        kind=wrong.kind,
        group=task.group,
        question=task.question,
        right=right,
        wrong=wrong.text,
        on_right=words.format(count=count, calls=calls),
        on_wrong=wrong.why,
        old=wrong.old,
        new=wrong.new,
        context=task.context,
        protocol=PROTOCOL,
    )
