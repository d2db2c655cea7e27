"""Continuous batching: one pass admits branches into sequences, decodes once, and moves every script on.

Sequences: generating slots are 0 to n-1, kept without holes because streams batch only ascending, consecutive ids;
above them the trunks, and last the reader, on which labels are read while the slot's own turn goes on."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fare_cli.asks import Answer, Direct, Given, Reply, ReplyError
from fare_cli.engine.cells import Hold, Ledger
from fare_cli.engine.native import Context, DecodeError, Row, Sampler
from fare_cli.engine.slot import Job, Slot
from fare_cli.engine.trunk import DEPTH, EVEN_PIECE, Branch, plan, root_length
from fare_cli.engine.turns import Turns

#: Sequences kept for the beginnings shared by a whole run (a file may mix two prompts: verify with and without
#: reference).
ROOTS = 2

#: A rest of a prompt this short is fed with the generating rows instead of a piece of its own.
ROWS_AT_MOST = 4

#: The end of the fixed beginning depends on the text behind it, by so many tokens at most: a root may be shorter.
SEAM_TOKENS = 8

#: Sequences beside the slots: roots, the trunks of one group, the reader.
EXTRA_SEQUENCES = ROOTS + DEPTH + 1


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


@dataclass(slots=True, eq=False)
class Root:
    """The beginning shared by a whole run, in a sequence of its own."""

    tokens: list[int]
    sequence: int
    hold: Hold


@dataclass(slots=True)
class Counters:
    """What the loop has done. `reused_tokens` were answered from a shared prefix instead of being computed."""

    decodes: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    reused_tokens: int = 0
    decode_seconds: float = 0.0


class Loop:
    """Serves groups of jobs on one context, none longer than `ask_tokens`. `even` keeps every piece at 64 tokens or
    more and never decodes a lone generating row, which makes results independent of company."""

    def __init__(self, context: Context, turns: Turns, *, slots: int, ask_tokens: int, even: bool) -> None:
        self._context = context
        self._turns = turns
        self._even = even
        self._slots = slots
        self._ask_tokens = ask_tokens
        unified = context.params.unified
        self._pack = unified and not even
        self._ledger = Ledger(context.cells if unified else None)
        self._free_slots = list(range(slots))
        self._free_roots = list(range(slots, slots + ROOTS))
        self._free_trunks = list(range(slots + ROOTS, slots + ROOTS + DEPTH))
        self._reader = slots + ROOTS + DEPTH
        self._roots: list[Root] = []
        self._agenda: deque[tuple[Branch, Trunk | Root | None]] = deque()
        self._groups: deque[list[Job]] = deque()
        self._filling: list[Trunk | Slot] = []
        self._writing: list[Slot] = []
        self._holds: dict[Slot, Hold] = {}
        self._done: list[Answer] = []
        self._cancelled: set[Job] = set()
        self.counters = Counters()

    @property
    def busy(self) -> bool:
        return bool(self._groups or self._agenda or self._filling or self._writing or self._done)

    def add(self, jobs: Sequence[Job]) -> None:
        """Takes a group of jobs; those that share a prefix share its computation. Too long ones are answered at
        once."""
        fitting = []
        for job in jobs:
            need = len(job.tokens) + job.growth
            if need > self._ask_tokens:
                message = (
                    f"prompt {job.prompt_tokens} tokens + room to answer {need - job.prompt_tokens} = {need}, "
                    f"an ask may hold {self._ask_tokens} (--ctx)"
                )
                self._done.append(
                    Answer(job.ask.id, Reply(prompt_tokens=job.prompt_tokens, error=ReplyError("too_long", message)))
                )
            else:
                fitting.append(job)
        self._groups.extend(_by_beginning(fitting))

    def refuse(self, ask_id: str, error: ReplyError) -> None:
        """Answers an ask that cannot be served at all."""
        self._done.append(Answer(ask_id, Reply(error=error)))

    def cancel(self, ask_ids: Iterable[str]) -> None:
        """Forgets jobs wherever they are."""
        gone = set(ask_ids)
        self._done = [answer for answer in self._done if answer.ask_id not in gone]
        self._groups = deque(kept for g in self._groups if (kept := [j for j in g if j.ask.id not in gone]))
        for slot in [s for s in (*self._writing, *self._filling) if isinstance(s, Slot) and s.job.ask.id in gone]:
            self._drop(slot)
        # Branches on the agenda, or still inside a trunk, are passed over when their turn comes.
        self._cancelled |= {leaf.job for leaf in self._planned_leaves() if leaf.job.ask.id in gone}

    def step(self) -> list[Answer]:
        """One pass: admit, one decode, move the scripts on. Returns the asks that were finished by it.

        Raises KeyboardInterrupt when the decode was interrupted; everything under way is then lost.
        """
        try:
            self._admit()
            if self._filling:
                self._fill()
            elif self._writing:
                self._write()
        except DecodeError as error:
            if error.code == 2:
                self._reset()
                raise KeyboardInterrupt from error
            raise
        done, self._done = self._done, []
        return done

    def _planned_leaves(self) -> list[Branch]:
        trunks = [filler.branch for filler in self._filling if isinstance(filler, Trunk)]
        return [leaf for branch in (*trunks, *(b for b, _ in self._agenda)) for leaf in _leaves(branch)]

    # admit

    def _admit(self) -> None:
        while self._pack or not self._filling:
            if not self._agenda and not self._next_group():
                return
            branch, parent = self._agenda[0]
            if not branch.is_trunk and branch.job in self._cancelled:
                self._cancelled.remove(branch.job)
            elif not self._place(branch, parent):
                return
            self._agenda.popleft()
            self._branched(parent)

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
            self._free_roots.append(self._forget_root(self._roots.pop(0)))
        sequence = self._free_roots.pop()
        self._context.forget(sequence)
        root = Root(tokens, sequence, self._ledger.reserve(len(tokens), None))
        try:
            self._decode_root(root)
        except DecodeError as error:
            if error.code == 2:
                raise
            # Without a root each ask computes all of its prompt, and fails on its own if that fails too.
            self._free_roots.append(self._forget_root(root))
            return None
        self._roots.append(root)
        return root

    def _decode_root(self, root: Root) -> None:
        position = 0
        while position < len(root.tokens):
            piece = root.tokens[position : position + self._piece(len(root.tokens) - position)]
            self._decode(
                piece, range(position, position + len(piece)), [root.sequence] * len(piece), [False] * len(piece)
            )
            position += len(piece)
        self.counters.prompt_tokens += len(root.tokens)

    def _forget_root(self, root: Root) -> int:
        self._ledger.release(root.hold)
        self._context.forget(root.sequence)
        return root.sequence

    def _place(self, branch: Branch, parent: Trunk | Root | None) -> bool:
        """Gives a branch a sequence and its cells, if there are any free."""
        if branch.is_trunk and not isinstance(parent, Trunk) and self._family_is_open():
            return False
        pool = self._free_trunks if branch.is_trunk else self._free_slots
        own = branch.stop - branch.start
        # A trunk is only opened when its largest child fits above it: else it could wait forever.
        room = own + (max(len(c.job.tokens) + c.job.growth - branch.stop for c in _leaves(branch)))
        if not pool or not self._ledger.fits(room):
            if not self._filling and not self._writing:
                self._drop_spare_root(parent)
            return False
        cells = own if branch.is_trunk else own + branch.job.growth
        hold = self._ledger.reserve(cells, parent.hold if parent else None)
        sequence = pool.pop(0)
        if parent is None:
            self._context.forget(sequence)
        else:
            self._context.branch(parent.sequence, sequence)
        self.counters.reused_tokens += branch.start
        if branch.is_trunk:
            self._filling.append(
                Trunk(branch, sequence, branch.start, branch.tokens, hold, len(branch.children), parent)
            )
            return True
        slot = Slot(branch.job, sequence, branch.start, branch.tokens)
        temperature = branch.job.ask.sampling.temperature
        if temperature > 0:
            slot.sampler = Sampler(temperature, branch.job.ask.sampling.seed)
        self._holds[slot] = hold
        if branch.job.writes and len(slot.todo) <= ROWS_AT_MOST and not self._even:
            self._writing.append(slot)
        else:
            self._filling.append(slot)
        return True

    def _family_is_open(self) -> bool:
        """Whether some trunk is being computed or has children that still wait.

        One family at a time: two that wait for each other's sequences or cells would wait for ever.
        """
        waiting = any(isinstance(parent, Trunk) for _, parent in self._agenda)
        return waiting or any(isinstance(filler, Trunk) for filler in self._filling)

    def _drop_spare_root(self, parent: Trunk | Root | None) -> None:
        """Frees a root nobody waits for; called when a branch does not fit although nothing is under way."""
        while isinstance(parent, Trunk):
            parent = parent.parent
        for root in self._roots:
            if root is not parent:
                self._roots.remove(root)
                self._free_roots.append(self._forget_root(root))
                return
        raise AssertionError("an ask that fits the context found no room in an empty one")

    def _branched(self, parent: Trunk | Root | None) -> None:
        """A child has left; a trunk without waiting children is given up (its children hold its cells)."""
        if isinstance(parent, Trunk):
            parent.waiting -= 1
            if not parent.waiting:
                self._context.forget(parent.sequence)
                self._free_trunks.append(parent.sequence)
                self._ledger.release(parent.hold)

    # decode

    def _piece(self, length: int) -> int:
        """Tokens of the next piece of a prompt: even pieces, none larger than a batch."""
        return math.ceil(length / math.ceil(length / self._context.params.batch))

    def _decode(
        self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int], wanted: Sequence[bool]
    ) -> None:
        begun = time.perf_counter()
        try:
            self._context.decode(tokens, positions, sequences, wanted)
        finally:
            self.counters.decodes += 1
            self.counters.decode_seconds += time.perf_counter() - begun

    def _fill(self) -> None:
        """Decodes prompt pieces: one in streams, as many as a batch holds in a unified cache."""
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        wanted: list[bool] = []
        parts: list[tuple[Trunk | Slot, int]] = []
        room, outputs = self._context.params.batch, self._context.params.outputs
        for filler in self._filling:
            size = self._piece(len(filler.todo))
            if parts and size > room:
                break
            size = min(size, self._within_outputs(filler, size, outputs))
            if not size:
                break
            rows = [self._is_wanted(filler, filler.position + i) for i in range(size)]
            tokens += filler.todo[:size]
            positions += range(filler.position, filler.position + size)
            sequences += [filler.sequence] * size
            wanted += rows
            parts.append((filler, size))
            room -= size
            outputs -= sum(rows)
            if not self._pack:
                break
        try:
            self._decode(tokens, positions, sequences, wanted)
        except DecodeError as error:
            self._fail([filler for filler, _ in parts], error)
            return
        self.counters.prompt_tokens += len(tokens)
        row = 0
        for filler, size in parts:
            first = row
            row += size
            self._filled(filler, first, size)
        self._read_waiting()

    def _is_wanted(self, filler: Trunk | Slot, index: int) -> bool:
        return isinstance(filler, Slot) and index >= filler.job.first_row

    def _within_outputs(self, filler: Trunk | Slot, size: int, outputs: int) -> int:
        """At most so many tokens that their wanted rows fit the output buffer."""
        if isinstance(filler, Trunk):
            return size
        before = max(0, min(size, filler.job.first_row - filler.position))
        return min(size, before + outputs)

    def _filled(self, filler: Trunk | Slot, first: int, size: int) -> None:
        """Moves a filler on after its piece was decoded in rows `first` to `first + size` of the batch."""
        if isinstance(filler, Slot):
            for i in range(size):
                index = filler.position + i
                if index < filler.job.first_row:
                    continue
                logits = self._context.logits(first + i)
                if logits is None or not self._turns.known_row(filler, index, logits):
                    self._finish(filler, filler.failure("nan", "the model's logits are not numbers"))
                    return
        filler.position += size
        del filler.todo[:size]
        if filler.todo:
            return
        self._filling.remove(filler)
        if isinstance(filler, Trunk):
            self._agenda.extendleft((child, filler) for child in reversed(filler.branch.children))
            return
        self._start_turn(filler, first + size - 1)

    def _start_turn(self, slot: Slot, row: int) -> None:
        """The prompt is in the cache: what comes next depends on the script."""
        script = slot.job.ask.script
        if isinstance(script, Given):
            self._finish(slot, slot.reply())
        elif isinstance(script, Direct):
            finished = self._turns.judge_directly(slot)
            if finished is not None:
                self._finish(slot, finished)
        else:
            self._writing.append(slot)
            self._take(slot, row)

    def _write(self) -> None:
        """One row for every generating slot."""
        self._close_holes()
        slots = self._writing
        tokens = [slot.todo[0] for slot in slots]
        positions = [slot.position for slot in slots]
        sequences = [slot.sequence for slot in slots]
        # Rows without logits skip the last layer's second half, which would leave another row alone there.
        wanted = [self._even or len(slot.todo) == 1 for slot in slots]
        if self._even and len(slots) == 1:
            # A lone row takes another kernel: a second one keeps the results those of company.
            self._context.forget(1)
            tokens, positions = [*tokens, tokens[0]], [*positions, 0]
            sequences, wanted = [*sequences, 1], [*wanted, True]
        try:
            self._decode(tokens, positions, sequences, wanted)
        except DecodeError as error:
            self._fail(list(slots), error)
            return
        for row, slot in enumerate(list(slots)):
            slot.position += 1
            slot.todo.pop(0)
            if not slot.todo:
                self._take(slot, row)
        self._read_waiting()

    def _close_holes(self) -> None:
        """Keeps the generating slots at 0 to n-1: while nothing is left to admit, the last one moves into a hole."""
        self._writing.sort(key=lambda slot: slot.sequence)
        if self._context.params.unified:
            return
        for target in range(len(self._writing)):
            last = self._writing[-1]
            if self._writing[target].sequence == target:
                continue
            self._context.branch(last.sequence, target)
            self._free_slots.append(last.sequence)
            self._free_slots.remove(target)
            self._free_slots.sort()
            last.sequence = target
            self._writing.insert(target, self._writing.pop())

    # collect

    def _take(self, slot: Slot, row: int) -> None:
        """Draws the next token from a row and moves the slot's turn on."""
        logits = self._context.logits(row)
        token = self._draw(slot, logits, row)
        if token is None:
            self._finish(slot, slot.failure("nan", "the model's logits are not numbers"))
        else:
            self.counters.generated_tokens += 1
            finished = self._turns.take(slot, token)
            if finished is not None:
                self._finish(slot, finished)

    def _draw(self, slot: Slot, logits: Row | None, row: int) -> int | None:
        if logits is None:
            return None
        best = int(np.argmax(logits))
        if not math.isfinite(float(logits[best])):
            return None
        return best if slot.sampler is None else self._context.sample(slot.sampler, row)

    def _read_waiting(self) -> None:
        """Reads the labels where turns came to a marker; after sampling, because it overwrites the logits."""
        while self._turns.to_read:
            slot, lead, final = self._turns.to_read.pop(0)
            try:
                rows = self._read(slot, lead, final)
            except DecodeError as error:
                if error.code == 2:
                    raise
                self._fail([slot], error)
                continue
            finally:
                self._context.forget(self._reader)
            finished = self._turns.read(slot, rows, final)
            if finished is not None:
                self._finish(slot, finished)

    def _read(self, slot: Slot, lead: Sequence[int], final: bool) -> dict[tuple[int, ...], Row]:
        """Logits at the inner nodes of the label trie behind `lead`, on a branch; the last chain of a finished turn
        goes into the slot's own sequence."""
        assert slot.job.choice is not None
        chains = slot.job.choice.chains
        rows: dict[tuple[int, ...], Row] = {}
        for number, chain in enumerate(chains):
            own = final and number == len(chains) - 1
            sequence = slot.sequence if own else self._reader
            if own:
                self._context.forget(self._reader)
            else:
                self._context.branch(slot.sequence, self._reader)
            tokens = [*lead, *chain.tokens]
            wanted = {len(lead) + row: node for row, node in zip(chain.rows, chain.nodes, strict=True)}
            count = len(tokens)
            self._decode(
                tokens,
                range(slot.position, slot.position + count),
                [sequence] * count,
                [i in wanted for i in range(count)],
            )
            for row, node in wanted.items():
                logits = self._context.logits(row)
                if logits is not None:
                    rows[node] = logits.copy()
        return rows

    def _finish(self, slot: Slot, reply: Reply) -> None:
        self._drop(slot)
        self._done.append(Answer(slot.job.ask.id, reply))

    def _drop(self, slot: Slot) -> None:
        """Gives back everything a slot holds."""
        if slot in self._writing:
            self._writing.remove(slot)
        if slot in self._filling:
            self._filling.remove(slot)
        if slot.sampler is not None:
            slot.sampler.close()
        self._turns.to_read = [request for request in self._turns.to_read if request[0] is not slot]
        self._context.forget(slot.sequence)
        self._free_slots.append(slot.sequence)
        self._free_slots.sort()
        self._ledger.release(self._holds.pop(slot))

    def _fail(self, victims: Sequence[Trunk | Slot], error: DecodeError) -> None:
        """Answers the asks of a failed decode with an error; the run goes on without them."""
        if error.code == 2:
            raise error
        kind = "cache_full" if error.code == 1 else "decode_failed"
        for victim in victims:
            if isinstance(victim, Slot):
                self._finish(victim, victim.failure(kind, str(error)))
                continue
            self._filling.remove(victim)
            self._context.forget(victim.sequence)
            self._free_trunks.append(victim.sequence)
            self._ledger.release(victim.hold)
            for leaf in _leaves(victim.branch):
                if leaf.job in self._cancelled:
                    self._cancelled.remove(leaf.job)
                    continue
                reply = Reply(prompt_tokens=leaf.job.prompt_tokens, error=ReplyError(kind, str(error)))
                self._done.append(Answer(leaf.job.ask.id, reply))

    def _reset(self) -> None:
        """Forgets everything after an interruption."""
        for slot in list(self._holds):
            self._drop(slot)
        self._context.clear()
        self._groups.clear()
        self._agenda.clear()
        self._cancelled.clear()
        self._turns.to_read.clear()
        self._filling.clear()
        self._roots.clear()
        self._done.clear()
        self._free_slots = list(range(self._slots))
        self._free_roots = list(range(self._slots, self._slots + ROOTS))
        self._free_trunks = list(range(self._slots + ROOTS, self._slots + ROOTS + DEPTH))
        self._ledger.reserved = 0


def _by_beginning(jobs: Sequence[Job]) -> list[list[Job]]:
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


def _leaves(branch: Branch) -> list[Branch]:
    if not branch.is_trunk:
        return [branch]
    return [leaf for child in branch.children for leaf in _leaves(child)]
