"""Verdicts that were kept, read back with the records they are about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fare_cli import records
from fare_cli.errors import InputError, RecordError
from fare_cli.rank.answers import Answer, Material, check_pair, cluster_of, given_pairs, same_pair
from fare_cli.rank.pairing import Asked
from fare_cli.records import PairwiseRecord, Record, ScoreRecord, VerifyRecord
from fare_cli.run.lines import RawLine
from fare_cli.run.reader import Place
from fare_cli.studies.kept import NOT_KEPT, kept_verdicts
from fare_cli.studies.ranking.asking import Compared, Valued
from fare_cli.verdicts import Verdict

_NO_RECORD = "a ranking needs verdicts written without --no-record"
_RANKED = ("pairwise", "verify", "score")


class Kept(NamedTuple):
    """A verdict, its record (None where the line that was judged held none) and its line."""

    verdict: Verdict
    record: Record | None
    place: Place


def read_kept(path: Path) -> list[Kept]:
    """The verdicts of a file, all of one task. Raises InputError with the line for anything else."""
    return [_kept(line, verdict) for line, verdict in kept_verdicts(path, [])]


def _kept(line: RawLine, verdict: Verdict) -> Kept:
    where = f"{line.file}, line {line.number}"
    if verdict.task not in _RANKED:
        raise InputError(f"{where}: verdicts of task {verdict.task} rank nothing", NOT_KEPT)
    if verdict.record is None and verdict.status == "ok":
        raise InputError(f"{where}: the verdict came without its `record`, so who answered is not known", _NO_RECORD)
    try:
        record = None if verdict.record is None else records.parse(verdict.task, verdict.record)
    except RecordError as error:
        raise InputError(f"{where}: `record`: {error.message}", NOT_KEPT) from None
    return Kept(verdict, record, Place(line.file, line.number))


def kept_comparisons(kept: Sequence[Kept]) -> tuple[Compared, list[str]]:
    """A ranking's comparisons from kept pairwise verdicts, and why those that cannot be used cannot."""
    usable: list[tuple[PairwiseRecord, Verdict]] = []
    known, invalid = [], []
    for one in kept:
        if not isinstance(one.record, PairwiseRecord):
            invalid.append(f"{_where(one)}: it was no record when it was judged")
            continue
        try:
            check_pair(one.record)
        except RecordError as error:
            invalid.append(f"{_where(one)}: {error.message} ({error.kind})")
            continue
        if one.record.answer_a == one.record.answer_b:
            known.append(same_pair(one.record))
        else:
            usable.append((one.record, one.verdict))
    pairs = given_pairs([record for record, _ in usable])
    systems = dict.fromkeys(name for pair in pairs for name in pair.contests[0])
    systems |= dict.fromkeys(name for one in known for name in (one.first, one.second))
    asked = Asked(pairs, [verdict for _, verdict in usable], 0, "all asked")
    return Compared(tuple(systems), tuple(known), asked, len(pairs)), invalid


def kept_values(kept: Sequence[Kept], *, systems: bool = True) -> tuple[Valued, list[str]]:
    """Answers with their verdicts from kept verify or score verdicts, and why those that cannot be used cannot."""
    material = Material()
    verdicts: dict[str, list[Verdict]] = {}
    invalid = []
    for one in kept:
        if not isinstance(one.record, VerifyRecord | ScoreRecord):
            invalid.append(f"{_where(one)}: it was no record when it was judged")
            continue
        answer = Answer(one.record, one.place)
        try:
            material.check(answer, systems)
        except RecordError as error:
            invalid.append(f"{_where(one)}: {error.message} ({error.kind})")
            continue
        material.add(answer)
        verdicts.setdefault(cluster_of(one.record), []).append(one.verdict)
    return Valued(tuple(material.questions.values()), tuple(map(tuple, verdicts.values()))), invalid


def _where(kept: Kept) -> str:
    return f"{kept.place.file}, line {kept.place.line}"
