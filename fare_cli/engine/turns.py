"""Scripts in token ids: what an ask becomes, and how its turn goes on with every token and every reading."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

import numpy as np

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Reasoning, Reply
from fare_cli.engine.choice import Choice
from fare_cli.engine.native import Model, Row
from fare_cli.engine.slot import Job, Slot
from fare_cli.engine.template import ChatTemplate
from fare_cli.errors import ModelError

#: Label sets kept ready; step records have one for each number of steps.
CHOICES_KEPT = 256


class Turns:
    """Compiles asks and moves their turns on. `to_read` lists (slot, tokens to feed first, whether the turn is over)
    for the label readings that are due."""

    def __init__(self, model: Model, template: ChatTemplate) -> None:
        self._model = model
        self._template = template
        self._choices: dict[tuple[str, tuple[str, ...]], tuple[tuple[int, ...], Choice]] = {}
        self.to_read: list[tuple[Slot, tuple[int, ...], bool]] = []

    def job(self, ask: Ask) -> Job:
        """The ask in token ids. Raises ModelError if the chat template refuses its messages or cannot reason."""
        script = ask.script
        reasoning = script.reasoning if isinstance(script, Judgment | Direct) else None
        if reasoning is not None and self._template.reasoning is None:
            raise ModelError("this model's chat template has no reasoning that could be switched on")
        prompt, fixed = self._template.prompt(ask.messages, reasoning.effort if reasoning else None)
        match script:
            case Judgment(marker, labels, max_tokens):
                marker_tokens, choice = self.choice(marker, labels)
                growth = self._thinking(reasoning) + max_tokens + 2 + len(marker_tokens) + _longest(choice)
                return Job(ask, prompt, len(prompt) - 1, len(prompt), growth, fixed, choice)
            case Direct(marker, labels) if reasoning is not None:
                marker_tokens, choice = self.choice(marker, labels)
                growth = self._thinking(reasoning) + len(marker_tokens) + _longest(choice)
                return Job(ask, prompt, len(prompt) - 1, len(prompt), growth, fixed, choice)
            case Direct():
                return self._direct_job(ask, prompt, fixed)
            case Given(parts):
                tokens, ends = list(prompt), []
                for part in parts:
                    tokens += self._template.plain(part)
                    ends.append(len(tokens))
                return Job(ask, tokens, len(prompt) - 1, len(prompt), 0, fixed, ends=tuple(ends))
            case Free(max_tokens):
                return Job(ask, prompt, len(prompt) - 1, len(prompt), max_tokens, fixed)

    def _thinking(self, reasoning: Reasoning | None) -> int:
        """The most tokens that thinking takes, its end included."""
        form = self._template.reasoning
        return reasoning.max_tokens + form.longest_close if reasoning and form else 0

    def _direct_job(self, ask: Ask, prompt: list[int], fixed: int) -> Job:
        """With one chain of inner nodes, the labels are read out of the prompt's own last piece; else on branches."""
        assert isinstance(ask.script, Direct)
        marker_tokens, choice = self.choice(ask.script.marker, ask.script.labels)
        if len(choice.chains) > 1:
            tokens = [*prompt, *marker_tokens[:-1]]
            lead = marker_tokens[-1:]
            return Job(ask, tokens, len(tokens), len(prompt), len(lead) + _longest(choice), fixed, choice, lead)
        chain = choice.chains[0].tokens if choice.chains else ()
        first_row = len(prompt) + len(marker_tokens) - 1
        return Job(ask, [*prompt, *marker_tokens, *chain], first_row, len(prompt), 0, fixed, choice)

    def choice(self, marker: str, labels: tuple[str, ...]) -> tuple[tuple[int, ...], Choice]:
        """The marker's tokens at the start of a line, and the trie of the labels tokenised behind it: what the engine
        reads labels by, and what a model must write for it. Raises ModelError where two labels have the same tokens."""
        key = (marker, labels)
        if key not in self._choices:
            if len(self._choices) >= CHOICES_KEPT:
                self._choices.clear()
            marker_tokens = tuple(self._template.plain(marker))
            paths = {}
            for label in labels:
                tokens = tuple(self._template.plain(marker + label))
                if tokens[: len(marker_tokens)] != marker_tokens:
                    # The vocabulary joins marker and label in one token: the label is tokenised on its own.
                    tokens = (*marker_tokens, *self._template.plain(label))
                paths[label] = tokens[len(marker_tokens) :]
            try:
                self._choices[key] = marker_tokens, Choice(paths)
            except ValueError as error:
                raise ModelError(f"this model's vocabulary cannot tell the labels apart: {error}") from error
        return self._choices[key]

    def known_row(self, slot: Slot, index: int, logits: Row) -> bool:
        """Takes the logits behind token `index` of the job's known tokens. False if they are not numbers."""
        job = slot.job
        if isinstance(job.ask.script, Given):
            if index + 1 < len(job.tokens):
                slot.given[bisect_right(job.ends, index + 1)] += _log_probability(logits, job.tokens[index + 1])
            return bool(np.all(np.isfinite(slot.given)))
        if not job.writes and job.choice is not None and job.choice.chains:
            chain = job.choice.chains[0]
            for row, node in zip(chain.rows, chain.nodes, strict=True):
                if job.first_row + 1 + row == index:
                    slot.rows[node] = logits.copy()
        return True

    def judge_directly(self, slot: Slot) -> Reply | None:
        """The answer of a direct judgment whose prompt is computed; None while its labels are still to be read."""
        assert slot.job.choice is not None
        if len(slot.job.choice.chains) > 1:
            self.to_read.append((slot, slot.job.lead, True))
            return None
        return self.read(slot, slot.rows, True)

    def take(self, slot: Slot, token: int) -> Reply | None:
        """Moves a turn on by a token that the model chose. The finished answer, if that ends the ask."""
        if slot.thinking:
            self._think(slot, token)
            return None
        script = slot.job.ask.script
        assert isinstance(script, Judgment | Free)
        form = self._template.reasoning
        if self._model.is_end(token) or (form and token in form.leaving):
            return self._end_turn(slot, (), truncated=False)
        slot.generated += 1
        if isinstance(script, Judgment):
            lead = self._marker_lead(slot, token, script.marker)
            if lead:
                slot.read_at = slot.transcript.length - len(slot.transcript.line) + len(script.marker)
                self.to_read.append((slot, lead, False))
        if not (form and token in form.silent):
            slot.transcript.add(self._model.piece(token))
        if slot.generated - slot.thought_tokens >= script.max_tokens:
            return self._end_turn(slot, (token,), truncated=True)
        slot.todo = [token]
        return None

    def _think(self, slot: Slot, token: int) -> None:
        """Moves the thinking on. Where the model ends it, or its turn, or comes to the limit, the answer begins."""
        form, reasoning = self._template.reasoning, slot.job.reasoning
        assert form is not None
        assert reasoning is not None
        if slot.thought is None:
            slot.thought = form.begin()
        if self._model.is_end(token):
            self._begin_answer(slot, slot.thought.close())
            return
        slot.generated += 1
        slot.thought_tokens += 1
        behind = slot.thought.take(token)
        if behind is not None:
            self._begin_answer(slot, (token, *behind))
        elif slot.thought_tokens >= reasoning.max_tokens:
            slot.thought_cut = True
            self._begin_answer(slot, (token, *slot.thought.close()))
        else:
            slot.todo = [token]

    def _begin_answer(self, slot: Slot, lead: tuple[int, ...]) -> None:
        """The thinking is over; `lead` are the tokens not in the cache yet that end it."""
        slot.thinking = False
        script = slot.job.ask.script
        if isinstance(script, Direct):
            marker_tokens, _ = self.choice(script.marker, script.labels)
            self.to_read.append((slot, (*lead, *marker_tokens), True))
        else:
            slot.todo = list(lead)

    def _marker_lead(self, slot: Slot, token: int, marker: str) -> tuple[int, ...]:
        """The tokens that complete a line-initial marker, if this token does; empty otherwise.

        A token that runs over the marker's end (`": ["`) is replaced on the branch by the rest of the marker alone.
        """
        line = slot.transcript.line
        if len(line) >= len(marker) or not marker.startswith(line):
            return ()
        after = slot.transcript.preview(self._model.piece(token))
        if not after.startswith(marker):
            return ()
        return (token,) if after == marker else tuple(self._template.plain(marker[len(line) :]))

    def _end_turn(self, slot: Slot, last: tuple[int, ...], *, truncated: bool) -> Reply | None:
        """The turn is over: the last reading counts; without one, or where the text was cut, the marker is forced.

        `last` is a token that was chosen but is not in the cache yet.
        """
        script = slot.job.ask.script
        slot.truncated = truncated
        if not isinstance(script, Judgment):
            return slot.reply()
        pending = any(request[0] is slot for request in self.to_read)
        judged = slot.reading is not None or pending
        if judged and (not truncated or slot.transcript.line.startswith(script.marker)):
            slot.ending = True
            return None if pending else slot.reply()
        self.to_read = [request for request in self.to_read if request[0] is not slot]
        slot.forced = True
        marker_tokens, _ = self.choice(script.marker, script.labels)
        newline = self._template.plain("\n") if slot.transcript.line else ()
        self.to_read.append((slot, (*last, *newline, *marker_tokens), True))
        return None

    def read(self, slot: Slot, rows: Mapping[tuple[int, ...], Row], final: bool) -> Reply | None:
        """Takes the logits of a label reading. The finished answer, if the turn is over."""
        assert slot.job.choice is not None
        reading = slot.job.choice.log_probabilities(rows) if len(rows) == len(slot.job.choice.nodes) else None
        if reading is None:
            return slot.failure("nan", "the model's logits are not numbers")
        slot.reading = reading
        return slot.reply() if final or slot.ending else None


def _longest(choice: Choice) -> int:
    return max((len(chain.tokens) for chain in choice.chains), default=0)


def _log_probability(logits: Row, token: int) -> float:
    values = logits.astype(np.float64)
    top = values.max()
    return float(values[token] - top - np.log(np.exp(values - top).sum()))
