"""Shared prefixes: which parts of the prompts of a group are computed once, and what branches from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fare_cli.engine.sequences import DEPTH
from fare_cli.engine.slot import Job

#: A shared part is worth a sequence of its own when computing it once saves this many tokens. An extra decode and a
#: copy cost about as much as 16 to 24 prompt tokens (SmolLM2-135M, 2 cores).
WORTH_TOKENS = 32

#: Pieces of at least this many tokens come out bit-equal wherever a prompt is cut, and at full speed.
EVEN_PIECE = 64

#: The end of the fixed beginning depends on the text behind it, by so many tokens at most: a root may be shorter.
SEAM_TOKENS = 8


@dataclass(slots=True, eq=False)
class Branch:
    """A part of a prompt: tokens `start` to `stop` of the job's. A leaf carries the job to its end; a trunk is computed
    for its children, which hold the same tokens up to `stop`."""

    job: Job
    start: int
    stop: int
    children: list[Branch] = field(default_factory=list)

    @property
    def is_trunk(self) -> bool:
        return bool(self.children)

    @property
    def tokens(self) -> list[int]:
        return self.job.tokens[self.start : self.stop]


def plan(jobs: Sequence[Job], start: int, even: bool) -> list[Branch]:
    """The branches of a group of jobs that already share their first `start` tokens.

    With `even`, no cut leaves a piece under 64 tokens.
    """
    return _grow(list(jobs), start, EVEN_PIECE if even else 1, DEPTH)


def root_length(fixed: int, even: bool) -> int:
    """How much of the fixed beginning of a prompt is kept for the whole run: all of it, or nothing."""
    return fixed if fixed >= (EVEN_PIECE if even else WORTH_TOKENS) else 0


def _grow(jobs: list[Job], start: int, piece: int, depth: int) -> list[Branch]:
    if len(jobs) == 1:
        return [Branch(jobs[0], start, len(jobs[0].tokens))]
    common = _common_prefix(jobs, start)
    cut = _cut(jobs, common, piece)
    alike: dict[int, list[Job]] = {}
    for job in jobs:
        alike.setdefault(job.tokens[common] if common < len(job.tokens) else -1, []).append(job)
    if depth and cut - start >= piece and (len(jobs) - 1) * (cut - start) >= WORTH_TOKENS:
        trunk = Branch(jobs[0], start, cut)
        parts = list(alike.values()) if len(alike) > 1 else [[job] for job in jobs]
        for part in parts:
            trunk.children += _grow(part, cut, piece, depth - 1)
        return [trunk]
    if len(alike) == 1:
        return [Branch(job, start, len(job.tokens)) for job in jobs]
    return [branch for part in alike.values() for branch in _grow(part, start, piece, depth)]


def _common_prefix(jobs: Sequence[Job], start: int) -> int:
    """How many leading tokens all jobs share, but no row whose logits one of them needs."""
    first, *others = jobs
    end = min(min(job.first_row, len(job.tokens) - 1) for job in jobs)
    for other in others:
        at = start
        while at < end and first.tokens[at] == other.tokens[at]:
            at += 1
        end = at
    return end


def _cut(jobs: Sequence[Job], common: int, piece: int) -> int:
    """The place up to `common` where the rest of every job is at least a piece."""
    return min(common, *(len(job.tokens) - piece for job in jobs))


def by_beginning(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in groups that begin with the same fixed text; two prompts can be mixed in one call."""
    groups: list[list[Job]] = []
    for job in jobs:
        for group in groups:
            same = max(0, min(job.fixed, group[0].fixed) - SEAM_TOKENS)
            if job.tokens[:same] == group[0].tokens[:same]:
                group.append(job)
                break
        else:
            groups.append([job])
    return groups


def leaves(branch: Branch) -> list[Branch]:
    """The branches of whole jobs at or above a branch."""
    if not branch.is_trunk:
        return [branch]
    return [leaf for child in branch.children for leaf in leaves(child)]
