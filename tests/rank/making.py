"""Systems of known strength: comparisons drawn from them, answers that show their quality, and judges of them."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Mapping
from typing import Any, Literal

from fare_cli.asks import Ask
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.rank.davidson import ELO, Comparison

DIRECT = JudgingOptions(mode="direct")


def compared(
    nats: Mapping[str, float], questions: int, *, tie: float = 0.0, first: float = 0.0, seed: int = 0
) -> list[Comparison]:
    """Every two systems on every question, drawn from the model itself; `tie` is the odds of a tie of equals."""
    draw = random.Random(seed)
    made = []
    for question in range(questions):
        for pair in itertools.combinations(nats, 2):
            one, other = draw.sample(pair, 2)
            apart = nats[one] - nats[other]
            odds = [math.exp(apart / 2 + first), math.exp(-apart / 2), tie]
            result: Literal["first", "second", "tie"] = draw.choices(("first", "second", "tie"), odds)[0]  # type: ignore[assignment]
            made.append(Comparison(one, other, result, question))
    return made


def elo_of(nats: Mapping[str, float]) -> dict[str, float]:
    """The true ratings around a mean of 1,000."""
    middle = sum(nats.values()) / len(nats)
    return {name: 1000 + ELO * (value - middle) for name, value in nats.items()}


def lines(nats: Mapping[str, float], questions: int, seed: int = 0) -> list[dict[str, Any]]:
    """Questions with an answer of every system; by their Gumbel noise the better of two is as in Bradley-Terry."""
    draw = random.Random(seed)
    return [
        {
            "id": f"q{question}",
            "question": f"What is {question}?",
            "answers": [
                {"system": name, "answer": f"quality {value - math.log(-math.log(draw.random())):.4f}"}
                for name, value in nats.items()
            ],
        }
        for question in range(questions)
    ]


def better(ask: Ask) -> str | None:
    """The label of the answer of higher quality, in the order in which they are shown."""
    first, second = (float(found) for found in re.findall(r"quality (-?[\d.]+)", ask.messages[-1].text))
    return " [A]" if first > second else " [B]"


def judge_of_quality(*, options: JudgingOptions = DIRECT, **faults: Any) -> BackendJudge:
    """A judge of pairs whose faults are known."""
    return BackendJudge(ReplayBackend(SimulatedJudge(better, **faults)), options=options)


def says_right(ask: Ask) -> str | None:
    """Verify: whether the answer holds RIGHT."""
    return " yes" if "RIGHT" in ask.messages[-1].text else " no"


def judge_of_right(**faults: Any) -> BackendJudge:
    """A judge of right and wrong whose faults are known."""
    return BackendJudge(ReplayBackend(SimulatedJudge(says_right, **faults)), options=DIRECT)
