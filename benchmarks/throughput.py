"""Measures fare beside the loop that people write, the strongest peer and the limit, and writes the tables.

    python -m benchmarks.throughput --records pairs.jsonl --peer-python ../peer/bin/python --markdown docs/benchmarks.md

Each contender runs in a child process of its own, one at a time, in an order that rotates with every repetition.
Figures are medians. Run it on an idle machine; --scenarios, --scale and --repetitions make it shorter.
docs/benchmarks.md says what each contender does.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import growth, tables
from benchmarks.bench_model import bench_model
from benchmarks.contenders import Contender, measure
from benchmarks.scenarios import SCENARIOS, Material, Scenario, calls_for, read_material, records_for

EXAMPLES = Path(__file__).parent.parent / "examples" / "pairwise.jsonl"
PEER_SLOTS = (1, 2, 4, 8, 12)
#: A trial of a setting: enough calls to fill all slots, critiques long enough that writing weighs in.
TRIAL_CALLS, TRIAL_NEW_TOKENS = 12, 32
#: Cells an ask can take: the longest records are about 1,000 tokens, the critique 128.
CONTEXT = 2048

LOOP = Contender("loop", "contender_loop.py")
FARE = Contender("fare", "contender_fare.py")
LIMIT = Contender("limit", "contender_limit.py")


def main() -> None:
    arguments = _arguments()
    model = bench_model(source_model(arguments.model))
    material = read_material(arguments.records or [EXAMPLES])
    report = _begin(arguments, material)
    for name in arguments.scenarios:
        report["scenarios"][name] = _scenario(SCENARIOS[name], material, model, arguments)
        _keep(report, arguments)
    if arguments.growth:
        report["growth"] = growth.measure_growth(material, model)
        report["startup"] = growth.measure_startup(model)
        _keep(report, arguments)
    print(tables.markdown(report))


def _begin(arguments: argparse.Namespace, material: Material) -> dict[str, Any]:
    """A report without figures, or the one in the JSON file: scenarios can be measured in several sittings."""
    earlier: dict[str, Any] = {}
    if arguments.json and arguments.json.exists():
        earlier = json.loads(arguments.json.read_text())
    report: dict[str, Any] = {
        "machine": tables.machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": _command(),
        "records": material.source,
        "repetitions": arguments.repetitions,
        "scenarios": earlier.get("scenarios", {}),
    }
    return report | {name: earlier[name] for name in ("growth", "startup") if name in earlier}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF of SmolLM2-135M-Instruct; default: the installed smollm2")
    parser.add_argument("--records", type=Path, nargs="+", help="pairwise records; default: examples/pairwise.jsonl")
    parser.add_argument("--peer-python", help="python of an environment that has xllamacpp; without it (b) is left out")
    parser.add_argument("--scenarios", nargs="*", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the number of records of every scenario")
    parser.add_argument("--no-growth", dest="growth", action="store_false", help="leave out growth and start-up")
    parser.add_argument("--json", type=Path, help="write all figures here, after every scenario")
    parser.add_argument("--markdown", type=Path, help="replace the tables in this file")
    return parser.parse_args()


def _command() -> str:
    """The command as a reader would type it: file names without the folders of this machine."""
    words = ["PYTHON" if word.endswith("/python") else Path(word).name for word in sys.argv[1:]]
    paths = [place for place, word in enumerate(words) if Path(word).suffix == ".gz"]
    if len(paths) > 3:
        words[paths[1] : paths[-1] + 1] = ["..."]
    return " ".join(["python -m benchmarks.throughput", *words])


def source_model(named: Path | None) -> Path:
    if named is None and "FARE_TEST_MODEL" in os.environ:
        named = Path(os.environ["FARE_TEST_MODEL"])
    if named is None:
        from fare_cli.gguf.store import models_folder

        named = models_folder() / "smollm2.gguf"
    if not named.is_file():
        raise SystemExit(f"error: there is no {named}\nhint: fare models pull smollm2, or --model FILE")
    return named


def _scenario(scenario: Scenario, material: Material, model: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Calibrates (a) and (b), records fare's shapes for (d), then measures all of them in turn."""
    scenario = replace(scenario, records=max(1, round(scenario.records * arguments.scale)))
    records = records_for(scenario, material)
    sizes = {"model": str(model), "threads": arguments.threads, "context": CONTEXT}
    calls = {**sizes, "calls": calls_for(scenario, records)}
    own = {
        **sizes,
        "task": scenario.task,
        "options": asdict(scenario.options),
        "records": records,
        "engine": {"ctx": CONTEXT, "threads": arguments.threads},
    }
    trials: dict[str, float] = {}
    contenders = [(_better_loop(scenario, calls, trials), calls)]
    if arguments.peer_python and scenario.peer_target:
        contenders.append((_best_peer(scenario, calls, trials, arguments.peer_python), calls))
    with tempfile.TemporaryDirectory() as folder:
        shapes = str(Path(folder) / "shapes.json")
        noted = measure(FARE, {**own, "shapes": shapes})
        contenders += [(FARE, own), (replace(LIMIT, wait_policy=noted["wait_policy"]), {**sizes, "shapes": shapes})]
        runs: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender, _ in contenders}
        for repetition in range(arguments.repetitions):
            turn = repetition % len(contenders)
            for contender, job in contenders[turn:] + contenders[:turn]:
                runs[contender.name].append(measure(contender, job, scenario.load))
                _say(scenario, repetition, contender, runs[contender.name][-1])
    settings = {contender.name: contender.setting for contender, _ in contenders}
    return {
        "scenario": asdict(scenario),
        "asks": len(calls["calls"]),
        "settings": settings,
        "trials": trials,
        "runs": runs,
    }


def _better_loop(scenario: Scenario, job: dict[str, Any], trials: dict[str, float]) -> Contender:
    """The loop with the OpenMP setting that is faster here."""
    return _fastest(scenario, [replace(LOOP, wait_policy=policy) for policy in (None, "passive")], job, trials)


def _best_peer(scenario: Scenario, job: dict[str, Any], trials: dict[str, float], python: str) -> Contender:
    """The server with the best number of slots, then with the better OpenMP setting."""
    peers = [Contender("peer", "contender_peer.py", python, None, {"slots": slots}) for slots in PEER_SLOTS]
    best = _fastest(scenario, peers, job, trials)
    return _fastest(scenario, [best, replace(best, wait_policy="passive")], job, trials)


def _fastest(
    scenario: Scenario, candidates: list[Contender], job: dict[str, Any], trials: dict[str, float]
) -> Contender:
    """The fastest of one trial each, with the first calls of the job and short critiques."""
    calls = [{**call, "new_tokens": min(call["new_tokens"], TRIAL_NEW_TOKENS)} for call in job["calls"][:TRIAL_CALLS]]
    for candidate in candidates:
        label = _label(candidate)
        if label not in trials:
            trials[label] = measure(candidate, {**job, "calls": calls}, scenario.load)["seconds"]
            print(f"{scenario.name}: trial of {label}: {trials[label]:.2f} s", file=sys.stderr, flush=True)
    return min(candidates, key=lambda candidate: trials[_label(candidate)])


def _label(contender: Contender) -> str:
    return f"{contender.name} ({contender.setting})"


def _say(scenario: Scenario, repetition: int, contender: Contender, result: dict[str, Any]) -> None:
    print(f"{scenario.name} {repetition + 1}: {contender.name} {result['seconds']:.2f} s", file=sys.stderr, flush=True)


def _keep(report: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    if arguments.markdown:
        tables.put_into(arguments.markdown, tables.markdown(report))


if __name__ == "__main__":
    main()
