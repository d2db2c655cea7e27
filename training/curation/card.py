"""The data card: what is in a training set, where it comes from, and what was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.curation.entry import TASKS, Dropped, Entry, Unread


def counts(train: Sequence[Entry], held_out: Sequence[Entry], dropped: Sequence[Dropped | Unread]) -> dict[str, Any]:
    """The figures of the card, for the manifest."""
    return {
        "train": _side(train),
        "held_out": _side(held_out),
        "dropped": dict(sorted(Counter(one.reason for one in dropped).items())),
    }


def _side(entries: Sequence[Entry]) -> dict[str, Any]:
    tasks = {task: [entry for entry in entries if entry.task == task] for task in TASKS}
    return {
        "records": len(entries),
        "questions": len({entry.question for entry in entries}),
        "tasks": {
            task: {
                "records": len(found),
                "labels": dict(sorted(Counter(entry.label for entry in found).items())),
                "sources": dict(sorted(Counter(entry.source for entry in found).items())),
            }
            for task, found in tasks.items()
            if found
        },
        "licences": dict(sorted({(entry.source, entry.licence) for entry in entries})),
    }


def card_text(name: str, found: Mapping[str, Any], options: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """The card in Markdown."""
    return "\n".join(_lines(name, found, options, versions)) + "\n"


def _lines(
    name: str, found: Mapping[str, Any], options: Mapping[str, Any], versions: Mapping[str, str]
) -> Iterator[str]:
    yield f"# Data card: {name}"
    yield ""
    yield "Records with known labels for training a judge, made by `python -m training curate`."
    for side, title in (("train", "To train on"), ("held_out", "Held out")):
        yield from _side_lines(title, found[side])
    yield from ("", "## Left out", "", "| reason | records |", "|---|---|")
    yield from (f"| {_cell(reason)} | {count:,} |" for reason, count in found["dropped"].items())
    yield from ("", "## How it was made", "")
    yield from (f"- {option}: {_cell(value)}" for option, value in options.items())
    yield "- versions: " + ", ".join(f"{package} {version}" for package, version in versions.items())


def _side_lines(title: str, side: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## {title}", "", f"{side['records']:,} records of {side['questions']:,} questions.", "")
    yield from ("| task | records | share | labels |", "|---|---|---|---|")
    for task, found in side["tasks"].items():
        labels = found["labels"]
        ordered = sorted(labels, key=lambda label: (not label.lstrip("-").isdigit(), label.zfill(6)))
        shown = ", ".join(f"{label}: {labels[label]:,}" for label in ordered)
        yield f"| {task} | {found['records']:,} | {found['records'] / side['records']:.1%} | {shown} |"
    yield from ("", "| source | licence | records by task |", "|---|---|---|")
    for source, licence in side["licences"].items():
        tasks = {task: found["sources"].get(source, 0) for task, found in side["tasks"].items()}
        shown = ", ".join(f"{task} {count:,}" for task, count in tasks.items() if count)
        yield f"| {_cell(source)} | {_cell(licence)} | {shown} |"


def _cell(value: object) -> str:
    """Text that stays in its cell: names and reasons come out of files."""
    return " ".join(str(value).split()).replace("|", "\\|")
