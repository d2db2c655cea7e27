"""Measures how much verdicts depend on company: the same records with one slot and with twelve.

    python -m benchmarks.company --records pairs.jsonl --count 20 --max-tokens 64

Prints, for direct judgments and critiques, how many labels flipped, the largest change of a log-probability, and how
many critiques differ in their text. With --deterministic nothing may differ."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from benchmarks.scenarios import read_material
from fare_cli.asks import Reply
from fare_cli.backends.local import LocalBackend
from fare_cli.engine.options import EngineOptions
from fare_cli.gguf.store import resolve_model
from fare_cli.identity import JudgingOptions, Mode
from fare_cli.judge import work_of
from fare_cli.prompting import load_task_prompt
from fare_cli.records import parse
from fare_cli.tasks import TASKS

CONTEXT = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=Path, nargs="+", required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--model", help="default: the only installed model")
    parser.add_argument("--deterministic", action="store_true")
    arguments = parser.parse_args()
    modes: tuple[Mode, ...] = ("direct", "critique")
    for mode in modes:
        options = JudgingOptions(mode=mode, max_tokens=arguments.max_tokens)
        alone, company = (dict(_replies(arguments, options, slots)) for slots in (1, 12))
        print(f"{mode}: {_comparison(alone, company)}", flush=True)


def _replies(arguments: argparse.Namespace, options: JudgingOptions, slots: int) -> Iterator[tuple[str, Reply]]:
    model = resolve_model(arguments.model)
    engine = EngineOptions(ctx=CONTEXT, slots=slots, deterministic=arguments.deterministic, **work_of(options))
    backend = LocalBackend(model.path, name=model.name, weights=model.sha256, options=engine)
    task = TASKS["pairwise"](load_task_prompt("pairwise"), options)
    material = read_material(arguments.records)
    for number, pair in enumerate(islice(material.pairs, arguments.count)):
        asks = task.step(parse("pairwise", pair), {})
        assert isinstance(asks, list)
        backend.submit([replace(ask, id=f"{number}/{ask.id}") for ask in asks])
    while answers := backend.collect():
        yield from answers
    backend.close()


def _comparison(alone: dict[str, Reply], company: dict[str, Reply]) -> str:
    flips = sum(alone[name].label != company[name].label for name in alone)
    texts = sum(alone[name].text != company[name].text for name in alone)
    same = [name for name in alone if alone[name].text == company[name].text]
    changes = [
        abs(_labels(alone[name])[label] - value) for name in same for label, value in _labels(company[name]).items()
    ]
    nats = max(changes, default=0.0)
    return (
        f"{len(alone)} judgments, {flips} labels flipped, {texts} texts differ, "
        f"largest change of a log-probability where they do not {nats:.3f} nats"
    )


def _labels(reply: Reply) -> Mapping[str, float]:
    return reply.log_probabilities or {}


if __name__ == "__main__":
    main()
