"""How fare's time grows with the work, and how long it takes to start."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender, measure
from benchmarks.scenarios import Material
from fare_cli.identity import JudgingOptions

FARE = Contender("fare", "contender_fare.py")
RECORDS, ANSWER_CHARACTERS, VOTES = (4, 16, 64), (500, 1000, 2000, 4000), (1, 2, 4, 8)


def measure_growth(material: Material, model: Path) -> dict[str, list[dict[str, Any]]]:
    """Time and tokens for more records, longer answers and more votes."""
    short = sorted(material.pairs, key=lambda pair: len(pair["answer_a"]) + len(pair["answer_b"]))
    alike = short[len(short) // 4 :]
    direct = JudgingOptions(mode="direct")
    first = [{"id": "0", **alike[0]}]
    return {
        "records, direct": [_point(model, f"{count} records", _take(alike, count), direct) for count in RECORDS],
        "answer length, direct": [
            _point(model, f"{size} characters", [_with_answers(alike[0], size)], direct) for size in ANSWER_CHARACTERS
        ],
        "votes, critique of 64 tokens": [_point(model, f"{votes} votes", first, _voting(votes)) for votes in VOTES],
    }


def measure_startup(model: Path) -> dict[str, float]:
    """Medians of 5: seconds of `fare --help`, and to the first verdict of a record in direct mode."""
    record = {"question": "What is 2 + 2?", "answer_a": "4", "answer_b": "5"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.jsonl"
        path.write_text(json.dumps(record) + "\n", encoding="utf-8")
        judge = ["judge", "pairwise", str(path), "--mode", "direct", "--model", str(model), "--isolated"]
        return {"`fare --help`": _command_seconds(["--help"]), "first verdict, direct": _command_seconds(judge)}


def _command_seconds(words: Sequence[str]) -> float:
    fare = str(Path(sys.executable).with_name("fare"))
    seconds = []
    for _ in range(6):
        begun = time.perf_counter()
        subprocess.run([fare, *words], check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])  # the first run fills the file caches


def _point(model: Path, size: str, records: Sequence[dict[str, Any]], options: JudgingOptions) -> dict[str, Any]:
    job = {"model": str(model), "task": "pairwise", "options": asdict(options), "records": records}
    result = measure(FARE, job)
    tokens = result["prompt_tokens"] + result["new_tokens"]
    return {"size": size, "seconds": result["seconds"], "tokens": tokens, "peak_mib": result["peak_mib"]}


def _take(pairs: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """`count` different records of nearly the same length: the same one twice would share its prompt."""
    return [{"id": str(place), **pairs[place % len(pairs)]} for place in range(count)]


def _with_answers(pair: dict[str, Any], characters: int) -> dict[str, Any]:
    """The pair with its answers repeated or cut to a length."""
    longer = {
        name: (f"{pair[name]} " * (characters // len(pair[name]) + 1))[:characters] for name in ("answer_a", "answer_b")
    }
    return {"id": "0", "question": pair["question"], **longer}


def _voting(votes: int) -> JudgingOptions:
    return JudgingOptions(order="ab", max_tokens=64, votes=votes, temperature=0.7)
