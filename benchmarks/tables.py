"""Figures as Markdown: the tables of docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: written by benchmarks/{script}.py -->", "<!-- end of figures -->"


def machine() -> dict[str, str]:
    """Processor, cores, system and Python, for people."""
    model = platform.processor() or platform.machine()
    features = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            if name.strip() == "flags":
                interesting = ("avx2", "avx512f", "avx512_vnni", "amx_int8")
                features = ", ".join(flag for flag in interesting if flag in value.split())
    except OSError:
        pass
    return {
        "processor": model,
        "features": features,
        "cores": str(_cores()),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cores() -> int:
    return os.cpu_count() or 1


def put_into(path: Path, text: str, script: str = "throughput") -> None:
    """Replaces what stands between the two marks of a Markdown file, the first of which names the script. Raises
    SystemExit where they are missing."""
    whole = path.read_text(encoding="utf-8")
    mark = BEGIN.format(script=script)
    head, begin, rest = whole.partition(mark)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"error: {path} has no lines {mark} and {END}")
    path.write_text(f"{head}{mark}\n\n{text.strip()}\n\n{END}{tail}", encoding="utf-8")


def markdown(report: dict[str, Any]) -> str:
    """All tables of a report."""
    parts = [_about(report)]
    if report["scenarios"]:
        parts += ["### Throughput", _throughput(report), "### Settings that were chosen by trial", _settings(report)]
        parts += ["### Memory", _memory(report)]
    if "growth" in report:
        parts += ["### Growth (fare alone, one run each)", _growth(report["growth"])]
    if "startup" in report:
        parts += [
            "### Start-up",
            table(("what", "seconds"), ((name, f"{value:.3f}") for name, value in report["startup"].items())),
        ]
    return "\n\n".join(parts)


def _about(report: dict[str, Any]) -> str:
    about = report["machine"]
    versions = sorted(
        {
            run["version"]
            for entry in report["scenarios"].values()
            for runs in entry["runs"].values()
            for run in runs[:1]
            if "version" in run
        }
    )
    lines = [
        f"- {report['date']}, {about['processor']} ({about['features']}), {about['cores']} cores, {about['system']}",
        "- SmolLM2-135M-Instruct, Q4_0, f16 cache",
        f"- records: {report['records']}",
        f"- {report['repetitions']} alternating repetitions, medians",
        f"- `{report['command']}`",
        *(f"- {version}" for version in versions),
    ]
    return "\n".join(lines)


def _median(runs: Sequence[dict[str, Any]]) -> float:
    return statistics.median(run["seconds"] for run in runs)


def _throughput(report: dict[str, Any]) -> str:
    head = (
        "work",
        "asks",
        "(a) loop",
        "(b) server",
        "(c) fare",
        "(d) limit",
        "a / c",
        "b / c",
        "d / c",
        "target a / c, b / c",
    )
    return table(head, (_throughput_row(entry) for entry in report["scenarios"].values()))


def _throughput_row(entry: dict[str, Any]) -> list[str]:
    scenario, runs = entry["scenario"], entry["runs"]
    fare = _median(runs["fare"])
    cells = [scenario["title"], str(entry["asks"])]
    cells += [_seconds(runs.get(name)) for name in ("loop", "peer", "fare", "limit")]
    cells += [f"{_median(runs[name]) / fare:.2f}" if name in runs else "" for name in ("loop", "peer", "limit")]
    peer_target = f", {scenario['peer_target']}" if scenario["peer_target"] else ""
    return [*cells, f"{scenario['target']}{peer_target}"]


def _seconds(runs: Sequence[dict[str, Any]] | None) -> str:
    """Median, and the range behind it."""
    if not runs:
        return ""
    all_seconds = [run["seconds"] for run in runs]
    return f"{_median(runs):.2f} s ({min(all_seconds):.2f} to {max(all_seconds):.2f})"


def _settings(report: dict[str, Any]) -> str:
    def row(entry: dict[str, Any]) -> list[str]:
        trials = "; ".join(f"{name}: {seconds:.1f} s" for name, seconds in entry["trials"].items())
        chosen = "; ".join(
            f"{name}: {setting}" for name, setting in entry["settings"].items() if name in ("loop", "peer")
        )
        engine = entry["runs"]["fare"][0]["engine"]
        flash = "on" if engine["flash_attention"] else "off"
        own = f"{engine['slots']} slots, {engine['kv_layout']}, flash attention {flash}"
        return [entry["scenario"]["title"], trials, chosen, own]

    return table(
        ("work", "trials", "chosen", "fare's own choice"), (row(entry) for entry in report["scenarios"].values())
    )


def _memory(report: dict[str, Any]) -> str:
    def row(entry: dict[str, Any]) -> list[str]:
        peaks = [
            max((run["peak_mib"] for run in entry["runs"].get(name, ())), default=0.0)
            for name in ("loop", "peer", "fare")
        ]
        tokens = [
            f"{run['prompt_tokens']} + {run['new_tokens']}"
            for run in (entry["runs"][name][0] for name in ("loop", "peer", "fare") if name in entry["runs"])
        ]
        return [entry["scenario"]["title"], *(f"{peak:.0f} MiB" if peak else "" for peak in peaks), "; ".join(tokens)]

    head = ("work", "(a) loop", "(b) server", "(c) fare", "tokens, prompt + new (a; b; c)")
    return table(head, (row(entry) for entry in report["scenarios"].values()))


def _growth(growth: dict[str, list[dict[str, Any]]]) -> str:
    rows = [
        [
            name,
            point["size"],
            f"{point['seconds']:.2f} s",
            f"{point['seconds'] / points[0]['seconds']:.2f}",
            str(point["tokens"]),
            f"{point['peak_mib']:.0f} MiB",
        ]
        for name, points in growth.items()
        for point in points
    ]
    return table(("what grows", "size", "time", "times the first", "tokens", "peak memory"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
