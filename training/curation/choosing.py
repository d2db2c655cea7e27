"""Which of the clean records are taken: caps, balance, mix and split, all by a hash of seed and id, so that a choice
does not depend on the order of files."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from fare_cli.errors import InvalidRecordsError, UsageError
from training.curation.entry import TASKS, Dropped, Entry

MIX = {"pairwise": 33.0, "step": 24.0, "verify-reference": 18.4, "verify": 13.1, "score": 11.4}
"""Percent of FARE's training data by task (arXiv 2510.17793)."""
_SCORE_EXCESS = 2.0


def rank(seed: int, text: str) -> float:
    """A number in [0, 1) that depends on seed and text alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{text}".encode()).digest()[:8], "big") / 2**64


def ranked(entries: Sequence[Entry], seed: int) -> list[Entry]:
    """The entries in an order that seed and contents decide."""

    def key(entry: Entry) -> tuple[float, str, str]:
        return rank(seed, entry.task + entry.record.content_id()), entry.source, entry.record.id

    return sorted(entries, key=key)


def short_enough(entries: Sequence[Entry], longest: int | None) -> tuple[list[Entry], list[Dropped]]:
    """The records of at most so many characters; all where `longest` is None."""
    kept, dropped = [], []
    for entry in entries:
        if longest is not None and entry.characters > longest:
            dropped.append(Dropped(entry, "too long", f"{entry.characters} characters"))
        else:
            kept.append(entry)
    return kept, dropped


def capped(entries: Sequence[Entry], caps: Mapping[str, int], seed: int) -> tuple[list[Entry], list[Dropped]]:
    """At most so many records of a source; "" caps those that are not named."""
    taken: Counter[str] = Counter()
    kept, dropped = [], []
    for entry in ranked(entries, seed):
        most = caps.get(entry.source, caps.get(""))
        taken[entry.source] += 1
        if most is not None and taken[entry.source] > most:
            dropped.append(Dropped(entry, "over the cap of its source", str(most)))
        else:
            kept.append(entry)
    return kept, dropped


def split(
    entries: Sequence[Entry], clusters: Mapping[str, str], held_out: float, seed: int
) -> tuple[list[Entry], list[Entry]]:
    """The entries to train on and those held out: about that share of the questions, with all records of each."""
    sides: tuple[list[Entry], list[Entry]] = ([], [])
    for entry in entries:
        sides[rank(seed, "question/" + clusters[entry.question]) < held_out].append(entry)
    return sides


def label_balanced(entries: Sequence[Entry], seed: int) -> tuple[list[Entry], list[Dropped]]:
    """As many right as wrong answers, and solutions, of every source in a task; of scores none more than twice as often
    as the middle one. Pairs are balanced by changing sides."""
    groups: defaultdict[tuple[str, str], defaultdict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in ranked(entries, seed):
        groups[entry.task, entry.source][_class(entry)].append(entry)
    kept, dropped = [], []
    for (task, _), classes in groups.items():
        most = _most(task, {label: len(found) for label, found in classes.items()})
        for label, found in classes.items():
            kept += found[:most]
            reason = f"more {label} than other labels in its source"
            dropped += [Dropped(entry, reason, str(most)) for entry in found[most:]]
    return kept, dropped


def _class(entry: Entry) -> str:
    if entry.task == "step":
        return "right solutions" if entry.record.gold == -1 else "wrong solutions"
    return "pairs" if entry.task == "pairwise" else entry.label


def _most(task: str, counts: Mapping[str, int]) -> int:
    if task == "pairwise":
        return sum(counts.values())
    if task == "score":
        middle = sorted(counts.values())[len(counts) // 2]
        return int(_SCORE_EXCESS * middle)
    return min(counts.values()) if len(counts) > 1 else 0


def mixed(entries: Sequence[Entry], mix: Mapping[str, float], seed: int) -> tuple[list[Entry], list[Dropped]]:
    """As many entries as the mix allows: the shares are met to a record. Labels stay as balanced as they were.

    Raises InvalidRecordsError where a task of the mix has no records.
    """
    by_task = {task: _label_by_label([entry for entry in entries if entry.task == task], seed) for task in TASKS}
    for task, share in mix.items():
        if share and not by_task[task]:
            others = ",".join(f"{name}={parts:g}" for name, parts in mix.items() if by_task[name])
            raise InvalidRecordsError(
                f"the mix wants {share:g} parts of {task}, and there is no record of it left to train on",
                f"add a source of it, or leave it out: --mix {others or 'all'}",
            )
    wanted = {task: share for task, share in mix.items() if share}
    total = min((len(by_task[task]) / share for task, share in wanted.items()), default=0.0)
    kept, dropped = [], []
    for task in TASKS:
        # The scarcest task has exactly this many; floating point must not lose one of them.
        most = int(total * mix.get(task, 0.0) + 1e-9)
        kept += by_task[task][:most]
        dropped += [Dropped(entry, "more than the mix takes of its task", str(most)) for entry in by_task[task][most:]]
    return kept, dropped


def _label_by_label(entries: Sequence[Entry], seed: int) -> list[Entry]:
    """The entries so ordered that every beginning of the list holds the labels in their proportion."""
    by_class: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in ranked(entries, seed):
        by_class[_class(entry)].append(entry)
    places = [
        ((number + 0.5) / len(found), label, entry)
        for label, found in by_class.items()
        for number, entry in enumerate(found)
    ]
    return [entry for _, _, entry in sorted(places, key=lambda place: place[:2])]


def side_balanced(entries: Sequence[Entry], seed: int) -> list[Entry]:
    """The entries, pairs with sides changed so that of every source the better answer is A and B equally often."""
    better: defaultdict[str, int] = defaultdict(int)
    balanced = []
    for entry in entries:
        if entry.record.task != "pairwise":
            balanced.append(entry)
            continue
        more_a = better[entry.source]
        wanted = "A" if more_a < 0 or (more_a == 0 and rank(seed, entry.record.id) < 0.5) else "B"
        better[entry.source] += 1 if wanted == "A" else -1
        balanced.append(entry if entry.label == wanted else entry.swapped())
    return balanced


def parse_mix(text: str) -> dict[str, float] | None:
    """The mix in `pairwise=33,step=24,...`; None for `all`. Raises UsageError, also for a mix of nothing."""
    if text == "all":
        return None
    if text == "fare":
        return dict(MIX)
    hint = f"tasks are {', '.join(TASKS)}"
    mix = dict(_assigned(part, "--mix", lambda name: name in TASKS, hint) for part in text.split(","))
    if not any(mix.values()):
        raise UsageError(f"--mix {text}: no task has a part", hint)
    return mix


def parse_caps(texts: Sequence[str]) -> dict[str, int]:
    """Caps in `N` (for all sources that are not named) and `NAME=N`. Raises UsageError."""
    found = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        _, value = _assigned(f"{name}={number}", "--cap", lambda _: True, "write --cap N or --cap NAME=N")
        found[name] = int(value)
    return found


def _assigned(text: str, option: str, known: Callable[[str], bool], hint: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not known(name) or not 0 <= value < float("inf"):
        raise UsageError(f"{option} {text}: a known name and a number that is not negative are wanted", hint)
    return name, value
