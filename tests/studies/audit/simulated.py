"""Judges that are fooled by exactly one thing, with a set probability, and records on which that can be seen.

An answer is right if it says 42 and wrong if it says 17; with a planted error it says neither.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable
from typing import Any

from fare_cli.asks import Ask, Direct, Judgment
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.run.reader import InputPlan
from fare_cli.studies.audit.audit import Audit, audit
from fare_cli.studies.audit.catalogue import choose

DIRECT = JudgingOptions(mode="direct")
Label = Callable[[Ask], str | None]


def labels(ask: Ask) -> tuple[str, ...]:
    assert isinstance(ask.script, Direct | Judgment)
    return ask.script.labels


def chance(ask: Ask, salt: str = "") -> float:
    """A number in 0 to 1 that is the same for all variants of a record: its question begins with its number."""
    number = re.search(r"Question (\d+)", ask.messages[-1].text)
    assert number is not None
    return random.Random(int(hashlib.sha256(f"{salt}/{number[1]}".encode()).hexdigest(), 16)).random()


_PAIR = re.compile(
    r"\[The Start of Assistant (?P<a>\S+)'s Answer\]\n(.*)\n\[The End of Assistant (?P=a)'s Answer\]\n\n"
    r"\[The Start of Assistant (?P<b>\S+)'s Answer\]\n(.*)\n\[The End of Assistant (?P=b)'s Answer\]",
    re.S,
)
_ONE = re.compile(r"\[The Start of Assistant's Answer\]\n(.*)\n\[The End of Assistant's Answer\]", re.S)


def shown(ask: Ask) -> list[str]:
    """The answers as they are shown: two, or one."""
    text = ask.messages[-1].text
    if pair := _PAIR.search(text):
        return [pair[2], pair[4]]
    one = _ONE.search(text)
    assert one is not None
    return [one[1]]


def says(text: str) -> int | None:
    """42, 17, or None where an error was planted."""
    found = re.search(r"\b(42|17)\b", text)
    return None if found is None or " not " in text else int(found[1])


def sound(ask: Ask) -> str | None:
    """The label of a judge that nothing fools, by the names that the labels have."""
    names = labels(ask)
    texts = shown(ask)
    if len(texts) == 2:
        return names[0] if says(texts[0]) == 42 else names[1]
    if "<step 0>" in texts[0]:
        steps = re.findall(r"<step (\d+)> (.*?)</step \1>", texts[0], re.S)
        wrong = next((index for index, step in steps if says(step) != 42), "-1")
        return f" {wrong}"
    if len(names) == 2:
        return names[0] if says(texts[0]) == 42 else names[1]
    best_is_low = "turned round" in ask.messages[-1].text
    score = 4 if says(texts[0]) == 42 else 2
    return f" {6 - score if best_is_low else score}"


def records(task: str, count: int, **more: Any) -> tuple[dict[str, Any], ...]:
    """Records of which two of three are right."""
    found: list[dict[str, Any]] = []
    for number in range(count):
        right = number % 3 > 0
        one, other = ("The answer is 42.", "The answer is 17.") if right else ("The answer is 17.", "The answer is 42.")
        values: dict[str, Any] = {"id": f"r{number}", "question": f"Question {number}: what is it?"}
        if task == "pairwise":
            values |= {"answer_a": one, "answer_b": other, "gold": "A" if right else "B"}
        elif task == "step":
            values |= {"steps": ["I say 42.", one], "gold": -1 if right else 1}
        elif task == "verify":
            values |= {"answer": one, "gold": "yes" if right else "no"}
        else:
            values |= {"answer": one, "rubric": "Is it right?", "gold": 4 if right else 2}
        german = {name: value for name, value in values.items() if name in ("answer_a", "answer_b", "answer", "steps")}
        values["translations"] = {"de": {"question": f"Question {number}: was ist es?", **german}}
        values["paraphrases"] = [f"Question {number}: what can it be?"]
        found.append(values | more)
    return tuple(found)


def audited(
    right: Label, task: str, count: int = 150, *only: str, options: JudgingOptions = DIRECT, **more: Any
) -> Audit:
    """The audit of a simulated judge. `more` are settings of the judge, or fields of the records."""
    settings = {name: more.pop(name) for name in ("accuracy", "seed") if name in more}
    judge = BackendJudge(ReplayBackend(SimulatedJudge(right, **settings)), options=options)
    plan = InputPlan(task=task, files=(), records=records(task, count, **more))
    return audit(judge, plan, choose(only))
