"""Admission: which ask gets which sequence, what it branches from, and whether its cells are free.

Sequences: generating slots are 0 to n-1, above them the roots and trunks, and last the reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fare_cli.engine.cells import Hold, Ledger
from fare_cli.engine.native import Context, DecodeError, Sampler
from fare_cli.engine.sequences import DEPTH, ROOTS
from fare_cli.engine.slot import Job, Slot
from fare_cli.engine.trunk import EVEN_PIECE, SEAM_TOKENS, Branch, by_beginning, leaves, plan, root_length


@dataclass(slots=True, eq=False)
class Root:
    """The beginning shared by a whole run, in a sequence of its own."""

    tokens: list[int]
    sequence: int
    hold: Hold


@dataclass(slots=True, eq=False)
class Trunk:
    """A live shared prefix. `waiting` counts the children that still have to branch from it."""

    branch: Branch
    sequence: int
    position: int
    todo: list[int]
    hold: Hold
    waiting: int
    parent: Trunk | Root | None


class Admission:
    """Groups of jobs in, live trunks and slots out, depth first, as sequences and cells become free.

    `compute` decodes the tokens of a root into a sequence. `even` is that of the loop.
    """

    def __init__(self, context: Context, slots: int, even: bool, compute: Callable[[Sequence[int], int], None]) -> None:
        self._context = context
        self._even = even
        self._compute = compute
        self._ledger = Ledger(context.cells if context.params.unified else None)
        self._free_slots = list(range(slots))
        self._free_roots = list(range(slots, slots + ROOTS))
        self._free_trunks = list(range(slots + ROOTS, slots + ROOTS + DEPTH))
        self._roots: list[Root] = []
        self._agenda: deque[tuple[Branch, Trunk | Root | None]] = deque()
        self._groups: deque[list[Job]] = deque()
        self._filling_trunks: list[Trunk] = []
        self._holds: dict[Slot, Hold] = {}
        self._cancelled: set[Job] = set()

    @property
    def waiting(self) -> bool:
        """Whether there are jobs that have no sequence yet."""
        return bool(self._groups or self._agenda)

    @property
    def slots(self) -> list[Slot]:
        """The slots that are live."""
        return list(self._holds)

    def add(self, jobs: Sequence[Job]) -> None:
        self._groups.extend(by_beginning(jobs))

    def cancel(self, ask_ids: Iterable[str]) -> None:
        """Forgets jobs that have no slot yet; those planned already are passed over when their turn comes."""
        gone = set(ask_ids)
        self._groups = deque(kept for g in self._groups if (kept := [j for j in g if j.ask.id not in gone]))
        planned = [trunk.branch for trunk in self._filling_trunks] + [branch for branch, _ in self._agenda]
        self._cancelled |= {leaf.job for b in planned for leaf in leaves(b) if leaf.job.ask.id in gone}

    def next(self, *, idle: bool) -> Trunk | Slot | None:
        """The next trunk or slot, branched from what it shares and to be filled; None where nothing fits now.

        `idle` says that nothing else is under way, so that waiting would not help.
        """
        while self._agenda or self._next_group():
            branch, parent = self._agenda[0]
            live: Trunk | Slot | None = None
            if not branch.is_trunk and branch.job in self._cancelled:
                self._cancelled.remove(branch.job)
            else:
                live = self._place(branch, parent, idle)
                if live is None:
                    return None
            self._agenda.popleft()
            self._branched(parent)
            if live is not None:
                return live
        return None

    def filled(self, trunk: Trunk) -> None:
        """A trunk is computed: its children come next."""
        self._filling_trunks.remove(trunk)
        self._agenda.extendleft((child, trunk) for child in reversed(trunk.branch.children))

    def give_up(self, trunk: Trunk) -> list[Job]:
        """Frees a trunk that could not be computed. The jobs that are lost with it, cancelled ones left out."""
        self._filling_trunks.remove(trunk)
        self._release(trunk)
        jobs = [leaf.job for leaf in leaves(trunk.branch)]
        lost = [job for job in jobs if job not in self._cancelled]
        self._cancelled -= set(jobs)
        return lost

    def leave(self, slot: Slot) -> None:
        """Gives back everything a slot holds."""
        if slot.sampler is not None:
            slot.sampler.close()
        self._context.forget(slot.sequence)
        self._free_slots = sorted([*self._free_slots, slot.sequence])
        self._ledger.release(self._holds.pop(slot))

    def move(self, slot: Slot, target: int) -> None:
        """Puts a slot into a free sequence."""
        self._context.branch(slot.sequence, target)
        self._context.forget(slot.sequence)
        self._free_slots = sorted([*(free for free in self._free_slots if free != target), slot.sequence])
        slot.sequence = target

    def _next_group(self) -> bool:
        """Puts the branches of the next group on the agenda; its root is computed first, if it is new."""
        if not self._groups:
            return False
        jobs = self._groups[0]
        root = self._root_of(jobs)
        start = len(root.tokens) if root else 0
        self._groups.popleft()
        self._agenda.extend((branch, root) for branch in plan(jobs, start, self._even))
        return True

    def _root_of(self, jobs: Sequence[Job]) -> Root | None:
        """The root that a group branches from, computed if it is new; None where none is worth it."""
        length = root_length(min(min(job.fixed, job.first_row, len(job.tokens) - 1) for job in jobs), self._even)
        if not length or (self._even and any(len(job.tokens) - length < EVEN_PIECE for job in jobs)):
            return None
        for root in self._roots:
            size = len(root.tokens)
            if length - SEAM_TOKENS <= size <= length and all(job.tokens[:size] == root.tokens for job in jobs):
                return root
        return self._make_root(jobs[0], jobs[0].tokens[:length])

    def _make_root(self, job: Job, tokens: list[int]) -> Root | None:
        if not self._ledger.fits(len(tokens) + len(job.tokens) + job.growth):
            return None
        if not self._free_roots:
            self._forget_root(self._roots[0])
        sequence = self._free_roots.pop()
        self._context.forget(sequence)
        root = Root(tokens, sequence, self._ledger.reserve(len(tokens), None))
        self._roots.append(root)
        try:
            self._compute(tokens, sequence)
        except DecodeError as error:
            if error.code == 2:
                raise
            # Without a root each ask computes all of its prompt, and fails on its own if that fails too.
            self._forget_root(root)
            return None
        return root

    def _forget_root(self, root: Root) -> None:
        self._roots.remove(root)
        self._ledger.release(root.hold)
        self._context.forget(root.sequence)
        self._free_roots.append(root.sequence)

    def _place(self, branch: Branch, parent: Trunk | Root | None, idle: bool) -> Trunk | Slot | None:
        """Gives a branch a sequence and its cells, if there are any free."""
        if branch.is_trunk and not isinstance(parent, Trunk) and self._family_is_open():
            return None
        pool = self._free_trunks if branch.is_trunk else self._free_slots
        own = branch.stop - branch.start
        # A trunk is only opened when its largest child fits above it: else it could wait for ever.
        room = own + max(len(c.job.tokens) + c.job.growth - branch.stop for c in leaves(branch))
        while not pool or not self._ledger.fits(room):
            if not idle:
                return None
            if not self._forget_spare_root(parent):
                raise AssertionError("an ask that fits the context found no room in an empty one")
        cells = own if branch.is_trunk else own + branch.job.growth
        hold = self._ledger.reserve(cells, parent.hold if parent else None)
        sequence = pool.pop(0)
        if parent is None:
            self._context.forget(sequence)
        else:
            self._context.branch(parent.sequence, sequence)
        if branch.is_trunk:
            trunk = Trunk(branch, sequence, branch.start, branch.tokens, hold, len(branch.children), parent)
            self._filling_trunks.append(trunk)
            return trunk
        slot = Slot(branch.job, sequence, branch.start, branch.tokens)
        sampling = branch.job.ask.sampling
        if sampling.temperature > 0:
            slot.sampler = Sampler(sampling.temperature, sampling.seed)
        self._holds[slot] = hold
        return slot

    def _family_is_open(self) -> bool:
        """Whether some trunk is being computed or has children that still wait.

        One family at a time: two that wait for each other's sequences or cells would wait for ever.
        """
        return bool(self._filling_trunks) or any(isinstance(parent, Trunk) for _, parent in self._agenda)

    def _forget_spare_root(self, parent: Trunk | Root | None) -> bool:
        """Frees a root that the branch does not stand on. False if there is none."""
        while isinstance(parent, Trunk):
            parent = parent.parent
        spare = next((root for root in self._roots if root is not parent), None)
        if spare is None:
            return False
        self._forget_root(spare)
        return True

    def _branched(self, parent: Trunk | Root | None) -> None:
        """A child has left; a trunk without waiting children is given up (its children hold its cells)."""
        if isinstance(parent, Trunk):
            parent.waiting -= 1
            if not parent.waiting:
                self._release(parent)

    def _release(self, trunk: Trunk) -> None:
        self._context.forget(trunk.sequence)
        self._free_trunks.append(trunk.sequence)
        self._ledger.release(trunk.hold)
