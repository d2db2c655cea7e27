"""`curate`: records of many sources made into one training set and a held-out one, with a card of what is in them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from training.curation.entry import Dropped, Entry, Unread
    from training.curation.sources import Source
    from training.manifest import Plan

_PACKAGES = ("datasketch", "numpy")
"""Distributions, for the manifest; the modules have the same names."""


@dataclass(frozen=True, slots=True)
class Curation:
    """What is made of which sources. `mix` is None where all clean and balanced records are kept."""

    sources: tuple[Source, ...]
    against: tuple[Path, ...] = ()
    mix: Mapping[str, float] | None = None
    caps: Mapping[str, int] | None = None
    longest: int | None = None
    held_out: float = 0.05
    ngram: int = 13
    never: tuple[str, ...] = ()
    seed: int = 0

    def options(self) -> dict[str, Any]:
        """All that can change the output, but for inputs and seed."""
        from training.curation.duplicates import THRESHOLD

        return {
            "sources": [[source.importer, len(source.files)] for source in self.sources],
            "mix": "all" if self.mix is None else dict(self.mix),
            "caps": dict(self.caps or {}),
            "longest": self.longest,
            "held_out": self.held_out,
            "ngram": self.ngram,
            "against": len(self.against),
            "never": list(self.never),
            "near_duplicate_threshold": THRESHOLD,
        }

    def plan(self) -> Plan:
        from training.manifest import plan

        files = [path for source in self.sources for path in source.files]
        return plan("curate", [*files, *self.against], self.options(), self.seed)


def command(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="FILE of records with gold, or NAME=FILE of a published set.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Write the sets there.")],
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="FILE", help="An evaluation set: drop what shares text with it; repeatable."),
    ] = None,
    mix: Annotated[
        str, typer.Option("--mix", metavar="MIX", help="fare, all, or parts such as pairwise=2,verify=1.")
    ] = "fare",
    cap: Annotated[
        list[str] | None,
        typer.Option("--cap", metavar="N", help="At most N records of each source, or NAME=N of one; repeatable."),
    ] = None,
    longest: Annotated[
        int | None,
        typer.Option("--longest", metavar="N", min=1, help="Leave out records of more than N characters."),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", metavar="SHARE", help="Share of the questions that are held out.")
    ] = 0.05,
    ngram: Annotated[
        int, typer.Option("--ngram", metavar="N", min=2, help="So many words in a row are taken for contamination.")
    ] = 13,
    never: Annotated[
        list[str] | None,
        typer.Option("--never", metavar="NAME", help="A further set that must not be trained on; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed takes other records.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace sets that are there.")] = False,
) -> int:
    """Make a training set and a held-out one from records with gold.

    Drops duplicates and what evaluation sets hold, balances labels and sides, and keeps all records of a question on
    one side. Writes train.jsonl, held-out.jsonl, dropped.jsonl (each record left out, and why) and card.md.
    BIG-Bench-Mistake and EVOUNA are refused: they are the test from outside.
    """
    from training.curation.choosing import parse_caps, parse_mix
    from training.curation.sources import NEVER, parse_source

    if not 0 <= held_out < 1:
        raise UsageError(f"--held-out {held_out}: a share from 0 to below 1 is wanted")
    curation = Curation(
        sources=tuple(map(parse_source, sources)),
        against=tuple(against or ()),
        mix=parse_mix(mix),
        caps=parse_caps(cap or []),
        longest=longest,
        held_out=held_out,
        ngram=ngram,
        never=(*NEVER, *(never or ())),
        seed=seed,
    )
    curate(curation, output, force=force)
    return 0


def curate(curation: Curation, folder: Path, *, force: bool = False, say: Any = typer.echo) -> dict[str, Any]:
    """Writes the sets, the list of what was dropped, the card and last the manifest into `folder`; gives its counts.

    A finished output stays. The work is one piece: killed before its end, the same command does it again, with the same
    bytes.
    """
    from fare_cli.run.files import write_whole
    from training.curation import card
    from training.curation.sources import check_never
    from training.manifest import package_versions, read_manifest
    from training.packages import need_packages

    need_packages(*_PACKAGES)
    started = time.monotonic()
    check_never(curation.sources, curation.never)
    work = curation.plan()
    folder.mkdir(parents=True, exist_ok=True)
    train_file = folder / "train.jsonl"
    if not work.begin(train_file, force=force):
        say(f"{folder} is finished already", err=True)
        manifest = read_manifest(train_file)
        assert manifest is not None
        return manifest.counts
    entries, unread, read = _read(curation)
    train, held_out, filtered = _curated(entries, curation, say)
    dropped: list[Dropped | Unread] = [*unread, *filtered]
    found = {"read": read, **card.counts(train, held_out, dropped)}
    files = [train_file, *(folder / f"{name}.jsonl" for name in ("held-out", "dropped"))]
    _write(files[0], train)
    _write(files[1], held_out)
    _write(files[2], dropped)
    options = {"seed": curation.seed} | curation.options()
    options |= {"against": ", ".join(path.name for path in curation.against) or "nothing"}
    options |= {
        "sources": ", ".join(source.name for source in curation.sources),
        "never": ", ".join(curation.never),
        "mix": _assignments(curation.mix) if curation.mix else "all",
        "caps": _assignments(curation.caps) if curation.caps else "none",
        "longest": f"{curation.longest} characters" if curation.longest else "any length",
    }
    text = card.card_text(folder.name, found, options, package_versions(_PACKAGES))
    write_whole(folder / "card.md", text, "data card")
    work.write_manifest([*files, folder / "card.md"], found, seconds=time.monotonic() - started, packages=_PACKAGES)
    say(f"{folder}: {len(train)} records to train on, {len(held_out)} held out, {len(dropped)} dropped", err=True)
    return found


def _assignments(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name or 'each source'} {value:g}" for name, value in values.items())


def _read(curation: Curation) -> tuple[list[Entry], list[Unread], dict[str, int]]:
    """All records in an order that seed and contents decide, since of two duplicates the first is kept; the rows that
    are none; and how many rows each source had."""
    from training.curation.choosing import ranked
    from training.curation.entry import Unread, told_apart
    from training.curation.sources import read_source

    entries: list[Entry] = []
    unread: list[Unread] = []
    read: dict[str, int] = {}
    for source in curation.sources:
        for entry in read_source(source, curation.never):
            read[source.name] = read.get(source.name, 0) + 1
            if isinstance(entry, Unread):
                unread.append(entry)
            else:
                entries.append(entry)
    return ranked(told_apart(entries), curation.seed), unread, read


def _curated(entries: Sequence[Entry], curation: Curation, say: Any) -> tuple[list[Entry], list[Entry], list[Dropped]]:
    from training.curation.choosing import capped, label_balanced, mixed, ranked, short_enough, side_balanced, split
    from training.curation.contamination import Evaluation, without_contaminated
    from training.curation.duplicates import question_clusters, without_duplicates

    evaluation = Evaluation(curation.ngram)
    for path in curation.against:
        say(f"{path}: {evaluation.add(path)} rows to keep out", err=True)
    kept, dropped = without_contaminated(entries, evaluation)
    kept, more = without_duplicates(kept)
    dropped += more
    kept, more = short_enough(kept, curation.longest)
    dropped += more
    kept, more = capped(kept, curation.caps or {}, curation.seed)
    dropped += more
    clusters = question_clusters([entry.question for entry in kept])
    sides: list[list[Entry]] = []
    for side in split(kept, clusters, curation.held_out, curation.seed):
        balanced, more = label_balanced(side, curation.seed)
        dropped += more
        if curation.mix is not None:
            mix = _held_out_mix(balanced, curation, say) if sides else curation.mix
            balanced, more = mixed(balanced, mix, curation.seed)
            dropped += more
        sides.append(side_balanced(ranked(balanced, curation.seed), curation.seed))
        lost = sum("critique" in entry.record.extra for entry in balanced)
        lost -= sum("critique" in entry.record.extra for entry in sides[-1])
        if lost:
            say(f"{lost} pairs lost their critique, in which it is not certain what names their answers", err=True)
    return sides[0], sides[1], dropped


def _held_out_mix(entries: Sequence[Entry], curation: Curation, say: Any) -> dict[str, float]:
    """The mix of the tasks that are held out at all: of few questions some tasks may have none."""
    assert curation.mix is not None
    there = {entry.task for entry in entries}
    missing = [task for task, share in curation.mix.items() if share and task not in there]
    if missing and curation.held_out:
        say(f"no record of {', '.join(missing)} is held out; a larger --held-out may hold some", err=True)
    return {task: share for task, share in curation.mix.items() if task in there}


def _write(path: Path, entries: Sequence[Entry | Dropped | Unread]) -> None:
    from fare_cli.run.files import OutputFile

    with OutputFile(path) as out:
        for entry in entries:
            out.write(json.dumps(entry.to_json(), ensure_ascii=False))
        out.publish()
