"""Scripts in token ids: what an ask becomes, and how its turn goes on with every token and every reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Reply
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
        special = template.special_token if template.harmony else lambda _text: None
        self._header_opens = {special("<|start|>"), special("<|channel|>")} - {None}
        self._header_closes = special("<|message|>")
        self._no_text = {special("<|end|>"), special("<|constrain|>")} - {None}

    def job(self, ask: Ask) -> Job:
        """The ask in token ids. Raises ModelError if the chat template refuses its messages."""
        prompt, fixed = self._template.prompt(ask.messages)
        match ask.script:
            case Judgment(marker, labels, max_tokens):
                marker_tokens, choice = self._choice(marker, labels)
                forcing = len(self._template.reopening) + 2 + len(marker_tokens) + _longest(choice)
                return Job(ask, prompt, len(prompt) - 1, len(prompt), max_tokens + forcing, fixed, choice)
            case Direct(marker, labels):
                return self._direct_job(ask, prompt, fixed)
            case Given(text):
                tokens = [*prompt, *self._template.opening, *self._template.plain(text)]
                return Job(ask, tokens, len(tokens) - len(self._template.plain(text)) - 1, len(prompt), 0, fixed)
            case Free(max_tokens):
                return Job(ask, prompt, len(prompt) - 1, len(prompt), max_tokens, fixed)

    def _direct_job(self, ask: Ask, prompt: list[int], fixed: int) -> Job:
        """With one chain of inner nodes, the labels are read out of the prompt's own last piece; else on branches."""
        assert isinstance(ask.script, Direct)
        marker_tokens, choice = self._choice(ask.script.marker, ask.script.labels)
        opened = [*prompt, *self._template.opening]
        if len(choice.chains) > 1:
            tokens = [*opened, *marker_tokens[:-1]]
            lead = marker_tokens[-1:]
            return Job(ask, tokens, len(tokens), len(prompt), len(lead) + _longest(choice), fixed, choice, lead)
        chain = choice.chains[0].tokens if choice.chains else ()
        first_row = len(opened) + len(marker_tokens) - 1
        return Job(ask, [*opened, *marker_tokens, *chain], first_row, len(prompt), 0, fixed, choice)

    def _choice(self, marker: str, labels: tuple[str, ...]) -> tuple[tuple[int, ...], Choice]:
        """The marker's tokens at the start of a line, and the trie of the labels tokenised behind it."""
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
                slot.log_probability += _log_probability(logits, job.tokens[index + 1])
            return bool(np.isfinite(slot.log_probability))
        if isinstance(job.ask.script, Direct) and job.choice is not None and job.choice.chains:
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
        script = slot.job.ask.script
        if self._model.is_end(token):
            return self._end_turn(slot, (), truncated=False)
        slot.generated += 1
        assert isinstance(script, Judgment | Free)
        if isinstance(script, Judgment):
            lead = self._marker_lead(slot, token, script.marker)
            if lead:
                slot.read_at = slot.transcript.length - len(slot.transcript.line) + len(script.marker)
                self.to_read.append((slot, lead, False))
        self._write(slot, token)
        if slot.generated >= script.max_tokens:
            return self._end_turn(slot, (token,), truncated=True)
        slot.todo = [token]
        return None

    def _marker_lead(self, slot: Slot, token: int, marker: str) -> tuple[int, ...]:
        """The tokens that complete a line-initial marker, if this token does; empty otherwise.

        A token that runs over the marker's end (`": ["`) is replaced on the branch by the rest of the marker alone.
        """
        line = slot.transcript.line
        if self._template.harmony and not slot.transcript.in_final:
            return ()  # what is drafted in the analysis is no verdict
        if len(line) >= len(marker) or not marker.startswith(line):
            return ()
        after = slot.transcript.preview(self._model.piece(token))
        if not after.startswith(marker):
            return ()
        return (token,) if after == marker else tuple(self._template.plain(marker[len(line) :]))

    def _write(self, slot: Slot, token: int) -> None:
        if token in self._header_opens:
            slot.transcript.open_header()
        elif token == self._header_closes:
            slot.transcript.close_header()
        elif token not in self._no_text:
            slot.transcript.add(self._model.piece(token))

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
        marker_tokens, _ = self._choice(script.marker, script.labels)
        self.to_read.append((slot, (*last, *self._bridge(slot), *marker_tokens), True))
        return None

    def _bridge(self, slot: Slot) -> Sequence[int]:
        """What leads from the text so far to the start of a line where the marker can stand."""
        if self._template.harmony and not slot.transcript.in_final:
            return self._template.reopening if slot.generated else self._template.opening
        return self._template.plain("\n") if slot.transcript.line else ()

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
