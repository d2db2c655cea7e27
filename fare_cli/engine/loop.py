"""Continuous batching: one pass admits branches into sequences, decodes once, and moves every script on.

`admission` gives out the sequences. Generating slots are kept without holes, because streams batch only ascending,
consecutive ids; on the last sequence, the reader, labels are read while the slot's own turn goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fare_cli.asks import Answer, Given, Reply, ReplyError
from fare_cli.engine.admission import Admission, Trunk
from fare_cli.engine.native import Context, DecodeError, Row
from fare_cli.engine.sequences import EXTRA_SEQUENCES
from fare_cli.engine.slot import Job, Slot
from fare_cli.engine.turns import Turns

#: A rest of a prompt this short is fed with the generating rows instead of a piece of its own.
ROWS_AT_MOST = 4


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
        self._pack = context.params.unified and not even
        self._reader = slots + EXTRA_SEQUENCES - 1
        self._admission = Admission(context, slots, even, self._compute)
        self._filling: list[Trunk | Slot] = []
        self._writing: list[Slot] = []
        self._done: list[Answer] = []
        self.counters = Counters()

    @property
    def busy(self) -> bool:
        return bool(self._admission.waiting or self._filling or self._writing or self._done)

    def add(self, jobs: Sequence[Job]) -> None:
        """Takes a group of jobs; those that share a prefix share its computation. Too long ones are answered at
        once."""
        fitting = []
        for job in jobs:
            need = len(job.tokens) + job.growth
            if need > self._ask_tokens:
                room = "room to think and answer" if job.reasoning else "room to answer"
                message = (
                    f"prompt {job.prompt_tokens} tokens + {room} {need - job.prompt_tokens} = {need}, "
                    f"an ask may hold {self._ask_tokens} (--ctx)"
                )
                self._done.append(
                    Answer(job.ask.id, Reply(prompt_tokens=job.prompt_tokens, error=ReplyError("too_long", message)))
                )
            else:
                fitting.append(job)
        self._admission.add(fitting)

    def refuse(self, ask_id: str, error: ReplyError) -> None:
        """Answers an ask that cannot be served at all."""
        self._done.append(Answer(ask_id, Reply(error=error)))

    def cancel(self, ask_ids: Iterable[str]) -> None:
        """Forgets jobs wherever they are."""
        gone = set(ask_ids)
        self._done = [answer for answer in self._done if answer.ask_id not in gone]
        for slot in self._admission.slots:
            if slot.job.ask.id in gone:
                self._drop(slot)
        self._admission.cancel(gone)

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

    def _admit(self) -> None:
        while self._pack or not self._filling:
            live = self._admission.next(idle=not self._filling and not self._writing)
            if live is None:
                return
            self.counters.reused_tokens += live.position
            short = isinstance(live, Slot) and live.job.writes and len(live.todo) <= ROWS_AT_MOST
            if isinstance(live, Slot) and short and not self._even:
                self._writing.append(live)
            else:
                self._filling.append(live)

    def _compute(self, tokens: Sequence[int], sequence: int) -> None:
        """Decodes tokens into an empty sequence, at once."""
        position = 0
        while position < len(tokens):
            size = self._piece(len(tokens) - position)
            piece = tokens[position : position + size]
            self._decode(piece, range(position, position + size), [sequence] * size, [False] * size)
            position += size
        self.counters.prompt_tokens += len(tokens)

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
            self._admission.filled(filler)
            return
        self._start_turn(filler, first + size - 1)

    def _start_turn(self, slot: Slot, row: int) -> None:
        """The prompt is in the cache: what comes next depends on the script."""
        if isinstance(slot.job.ask.script, Given):
            self._finish(slot, slot.reply())
        elif not slot.job.writes:
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
            self._admission.move(last, target)
            self._writing.insert(target, self._writing.pop())

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
        self._turns.to_read = [request for request in self._turns.to_read if request[0] is not slot]
        self._admission.leave(slot)

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
            for job in self._admission.give_up(victim):
                reply = Reply(prompt_tokens=job.prompt_tokens, error=ReplyError(kind, str(error)))
                self._done.append(Answer(job.ask.id, reply))

    def _reset(self) -> None:
        """Forgets everything after an interruption."""
        for slot in self._admission.slots:
            self._drop(slot)
        self._context.clear()
        self._admission = Admission(self._context, self._slots, self._even, self._compute)
        self._filling.clear()
        self._done.clear()
