"""Verdict files of simulated judges, as `fare judge -o` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fare_cli.asks import Ask, Reply
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge
from fare_cli.verdicts import Verdict
from tests.simulating import answers, judged, pairs, scored, solutions, truth

TASKS: dict[str, list[dict[str, Any]]] = {
    "pairwise": [
        {**one, "category": "facts" if number % 3 else "maths", "annotations": {"ann": one["gold"], "bo": "A"}}
        for number, one in enumerate(pairs(40))
    ],
    "step": solutions(24),
    "verify": answers(20, each=2),
    "score": scored(25),
}
HOSTILE = "</script><script>document.title='owned'</script><!-- <img src=x onerror=\"document.title='owned'\"> ]]>"
CRITIQUE = f"The first one is sound. {HOSTILE}\n\nVerdict:"


def hostile_pair() -> dict[str, Any]:
    """A record that tries to become part of the page, in every field that holds text."""
    return {
        "id": HOSTILE,
        "category": HOSTILE,
        "question": HOSTILE,
        "answer_a": f"RIGHT one two three four five six {HOSTILE}",
        "answer_b": f"WRONG one two 3 four five six {HOSTILE}",
        "reference": HOSTILE,
        "system_a": HOSTILE,
        "system_b": "other",
        "gold": "A",
        "own field": HOSTILE,
    }


def with_critiques(records: list[dict[str, Any]], task: str = "pairwise") -> list[Verdict]:
    """Verdicts of a judge that explains itself."""
    simulated = SimulatedJudge(truth, accuracy=0.8, noise=0.5)

    def reply(ask: Ask) -> Reply:
        said = simulated(ask)
        return replace(said, text=f"{CRITIQUE}{said.label}", read_at=len(CRITIQUE))

    return list(BackendJudge(ReplayBackend(reply), options=JudgingOptions()).verdicts(task, records))


def verdicts_of(task: str) -> list[Verdict]:
    return judged(task, TASKS[task], accuracy=0.8, noise=0.5)


def write_verdicts(path: Path, verdicts: Iterable[Verdict], *, records: bool = True) -> Path:
    path.write_text("".join(f"{one.to_line(include_record=records)}\n" for one in verdicts), encoding="utf-8")
    return path


def data_of(page: str) -> list[Any]:
    """What the JSON script elements of a page hold, as a browser would find them."""
    pieces = page.split('<script type="application/json"')[1:]
    return [json.loads(piece[piece.index(">") + 1 : piece.index("</script>")]) for piece in pieces]
