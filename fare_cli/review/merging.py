"""What several people said of the records of a verdict file, put into the verdicts: labels of annotators, and gold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import InputError, RecordError
from fare_cli.record_fields import shown
from fare_cli.review.events import Reviewed, ReviewEvent, read_events, standing
from fare_cli.review.queue import labels_of, record_of
from fare_cli.run.files import OutputFile
from fare_cli.run.manifest import OutputFacts, read_manifest, write_manifest
from fare_cli.run.summary import Counts
from fare_cli.studies.kept import kept_verdicts
from fare_cli.verdicts import Verdict


class Opinions(NamedTuple):
    """What people say of one record: `blind` labels by person, and their `final` words, blind or not."""

    blind: Mapping[str, str]
    final: Mapping[str, str]


@dataclass(slots=True)
class People:
    """What all people said, by record. `not_blind` counts last verdicts that were given with the judge's in sight and
    replace no blind one."""

    by_record: dict[Reviewed, Opinions] = field(default_factory=dict)
    reviewers: tuple[str, ...] = ()
    notes: int = 0
    not_blind: int = 0

    @classmethod
    def of(cls, events: Iterable[ReviewEvent]) -> People:
        every = list(events)
        blind, final = standing(every, blind=True), standing(every)
        found: dict[Reviewed, tuple[dict[str, str], dict[str, str]]] = {}
        for side, events_of_side in enumerate((blind, final)):
            for (reviewer, about), event in events_of_side.items():
                labels = found.setdefault(about, ({}, {}))
                if event.verdict is not None:
                    labels[side][reviewer] = event.verdict
        return cls(
            {about: Opinions(*labels) for about, labels in found.items()},
            tuple(dict.fromkeys(event.reviewer for event in every)),
            sum(bool(event.note) for event in final.values()),
            sum(len(set(late) - set(early)) for early, late in found.values()),
        )

    @classmethod
    def read(cls, files: Sequence[Path]) -> People:
        """All that stands in review files. Raises InputError, with file, line and field, for one that is none."""
        return cls.of(event for path in files for event in read_events(path))


@dataclass(slots=True)
class Merged:
    """What became of a merge: people's verdicts by record, those about no record of the file, and gold before and
    after."""

    records: int = 0
    reviewed: int = 0
    strangers: int = 0
    gold_before: int = 0
    gold_after: int = 0


def labelled(verdicts: Iterable[Verdict], people: People, counts: Merged) -> Iterator[Verdict]:
    """Every verdict, with the people's labels in its record's `annotations`.

    A label counts there if it was given blind. Where the record has no gold, the final words make it: what more than
    half of the people say, of scores the mean. Raises InputError for a verdict without its record, and for a label
    that the record does not have.
    """
    met = set()
    names = {about.record for about in people.by_record}
    for verdict in verdicts:
        counts.records += 1
        counts.gold_before += verdict.gold is not None
        if verdict.status == "ok" and verdict.id in names:
            try:
                about = Reviewed(verdict.task, verdict.id, record_of(verdict).content_id())
                if (said := people.by_record.get(about)) is not None:
                    met.add(about)
                    counts.reviewed += bool(said.final)
                    verdict = with_opinions(verdict, said)
            except RecordError as error:
                raise InputError(f"record {verdict.id}: {error.message}", error.hint) from None
        counts.gold_after += verdict.gold is not None
        yield verdict
    counts.strangers = len(people.by_record.keys() - met)


def with_opinions(verdict: Verdict, said: Opinions) -> Verdict:
    """The verdict with people's labels. Raises RecordError for a label that its record does not have."""
    record = record_of(verdict)
    labels = labels_of(record)
    for reviewer, label in (*said.blind.items(), *said.final.items()):
        if label not in labels:
            raise RecordError("bad_value", f"{reviewer} said {shown(label)}, and it has no such label")
    is_number = verdict.task in ("step", "score")
    blind = {name: int(label) if is_number else label for name, label in said.blind.items()}
    values = record.to_json()
    if blind:
        values["annotations"] = {**(record.annotations or {}), **blind}
    gold = verdict.gold
    if gold is None and (gold := _gold(verdict.task, list(said.final.values()))) is not None:
        values["gold"] = gold
    return verdict.model_copy(update={"record": values, "gold": gold, "correct": _correct(verdict, gold)})


def _gold(task: str, labels: Sequence[str]) -> str | int | float | None:
    if not labels:
        return None
    if task == "score":
        mean = math.fsum(map(int, labels)) / len(labels)
        return int(mean) if mean.is_integer() else mean
    label, times = Counter(labels).most_common(1)[0]
    if times * 2 <= len(labels):
        return None
    return int(label) if task == "step" else label


def _correct(verdict: Verdict, gold: str | float | None) -> bool | None:
    """As a task says it: None where the judge cannot be right, since its labels do not have gold."""
    if gold is None or verdict.probabilities is None:
        return None
    label = gold if isinstance(gold, str) else f"{gold:g}"
    return verdict.verdict == label if label in verdict.probabilities else None


def write_merged(
    verdicts: Path, people: People, output: Path, each: Callable[[Verdict], None] = lambda _verdict: None
) -> Merged:
    """Writes the verdicts with people's labels to `output`, and a manifest where the verdicts have one; `each` gets
    them, too.

    Raises what `labelled` raises, InputError for a file that holds anything but verdicts of one task, and
    EnvironmentFault where the disk does not take it.
    """
    counts, summary = Merged(), Counts()
    with OutputFile(output) as file:
        for verdict in labelled((kept.verdict for kept in kept_verdicts(verdicts, [])), people, counts):
            summary.add(verdict)
            each(verdict)
            file.write(verdict.to_line())
        if people.by_record and counts.strangers == len(people.by_record):
            raise InputError(
                f"none of the {counts.strangers} reviewed records is in {verdicts}, or all have other words there",
                "give the file of verdicts that these people looked at",
            )
        file.publish()
    manifest = read_manifest(verdicts)
    if manifest is not None:
        facts = OutputFacts(file=output.name, verdicts=file.lines, bytes=file.bytes, sha256=file.sha256)
        write_manifest(output, manifest.model_copy(update={"output": facts, "counts": summary.to_json()}))
    return counts
