"""Asks through `/v1/completions`: the prompt is rendered here, as the local backend renders it.

The template and the vocabulary come from a GGUF file of the same model; its weights are not loaded. Where the server
takes token ids it gets those that the local engine would compute on, and the record's text cannot leave its place.
Where it takes text only, the ids are written out as text, and special strings in the record's text are broken first.
`engine.turns` follows what the server writes just as it follows the local model's choices, so marker, thinking and
limits mean the same.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Reply
from fare_cli.backends.http import labels
from fare_cli.backends.http.answers import Answer, SameModel, completion
from fare_cli.backends.http.connection import BadAnswer, Connection, Refused
from fare_cli.backends.http.guarding import Neutraliser
from fare_cli.backends.http.labels import Reading
from fare_cli.engine.choice import Choice
from fare_cli.engine.native import Model
from fare_cli.engine.slot import Slot
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.turns import Turns
from fare_cli.errors import ModelError

PATH = "/v1/completions"

OTHER_MODEL = "--model has to name a GGUF file of the model that is served, of any quantisation"
# Nats. Kernels and the company of a row make a difference of up to 0.2 (docs/http.md).
_MOST_APART = 1.0

#: Tokens listed at a place: the most that OpenAI's protocol and an untouched vLLM give.
LISTED = 20
#: What is asked for next, where a label is not among them; llama-server lists as many as one wants.
_MORE_LISTED = (1000, 20_000)

#: Sampling as the local engine does it: by temperature alone. Servers have defaults of their own, vLLM those that the
#: model's authors wrote beside the weights. -1 means all tokens to llama-server, vLLM and SGLang.
PLAIN_SAMPLING: Mapping[str, Any] = {
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What of the protocol a server was found to have: token ids as prompt, lists of log-probabilities, and switches
    for all of `PLAIN_SAMPLING`."""

    takes_ids: bool
    lists: bool
    plain_sampling: bool


class Vocabulary:
    """Template and vocabulary of a GGUF file, without its weights. Raises ModelError; close it."""

    def __init__(self, path: Path) -> None:
        self.model = Model(path, gpu_layers=0, vocabulary_only=True)
        try:
            self.template = ChatTemplate(self.model)
            self.end = self.template.turn_end()
        except BaseException:
            self.model.close()
            raise
        self.neutraliser = Neutraliser(self.model.special_tokens())

    def text(self, ids: Sequence[int]) -> str:
        """The ids as text, special tokens written out. The server puts the first one there by itself."""
        begins = bool(ids) and self.model.add_bos and ids[0] == self.model.bos
        data = b"".join(self.model.piece(token, special=True) for token in (ids[1:] if begins else ids))
        return data.decode(errors="replace")

    def piece(self, token: int) -> str:
        return self.model.piece(token, special=True).decode(errors="replace")

    def close(self) -> None:
        self.model.close()


class CompletionAsker:
    """Answers asks by completions. Usable from many threads."""

    def __init__(self, connection: Connection, vocabulary: Vocabulary, model: str, dialect: Dialect) -> None:
        self._connection = connection
        self._same = SameModel()
        self._vocabulary = vocabulary
        self._model = model
        self._dialect = dialect
        self._lists_more = dialect.lists
        self._own = threading.local()

    @property
    def guarded(self) -> bool:
        """Whether the record's text is safe from becoming special tokens."""
        return self._dialect.takes_ids

    @property
    def reasons(self) -> bool:
        return self._vocabulary.template.reasoning is not None

    def show(self, ask: Ask) -> str:
        """The prompt of an ask, special tokens marked."""
        return self._vocabulary.template.show(self._turns().job(self._safe(ask)).tokens)

    def answer(self, ask: Ask) -> Reply:
        """The reply. Raises ModelError for an ask that the template or vocabulary cannot express, Refused, Lost."""
        if isinstance(ask.script, Given):
            raise Refused("unsupported", "log-probabilities of a given text cannot be asked of a server")
        turns = self._turns()
        job = turns.job(self._safe(ask))
        slot = Slot(job, 0, job.prompt_tokens, [])
        turn = _Turn(self, turns, slot, job.tokens[: job.prompt_tokens])
        if isinstance(ask.script, Direct) and ask.script.reasoning is None:
            marker, choice = turns.choice(ask.script.marker, ask.script.labels)
            reading = self.read([*turn.known, *marker], choice)
            return self._judged(slot.reply(), reading)
        reply, reading = turn.run()
        return self._judged(reply, reading) if not isinstance(ask.script, Free) else self._marked(reply)

    def _turns(self) -> Turns:
        """What follows turns keeps state between tokens: every thread has its own."""
        if not hasattr(self._own, "turns"):
            self._own.turns = Turns(self._vocabulary.model, self._vocabulary.template)
        return self._own.turns  # type: ignore[no-any-return]

    def _safe(self, ask: Ask) -> Ask:
        return ask if self.guarded else replace(ask, messages=self._vocabulary.neutraliser.messages(ask.messages))

    def _judged(self, reply: Reply, reading: Reading | None) -> Reply:
        if reply.error is not None:
            return self._marked(reply)
        if reading is None:
            raise Refused("no_label", "no label is among the most probable tokens where the verdict belongs")
        return self._marked(replace(reply, label=reading.label, log_probabilities=reading.log_probabilities))

    def _marked(self, reply: Reply) -> Reply:
        return replace(reply, injection_guard=self.guarded)

    def write(self, ids: Sequence[int], ask: Ask, tokens: int) -> Answer:
        """What the server writes behind `ids`, at most so many tokens."""
        sampling = ask.sampling
        body: dict[str, Any] = {"max_tokens": tokens, "temperature": sampling.temperature, "return_token_ids": True}
        if sampling.temperature > 0:
            body["seed"] = sampling.seed
        # Listing one token a place is how llama-server tells the ids of what it wrote.
        return self._complete(ids, {**body, **({"logprobs": 1} if self._dialect.lists else {})})

    def ids_of(self, answer: Answer) -> list[int]:
        """The ids of what the server wrote; its text tokenised anew, where it does not tell them all: llama-server
        leaves out those that end inside a character."""
        if answer.ids is None or answer.generated_tokens not in (None, len(answer.ids)):
            return list(self._vocabulary.template.plain(answer.text))
        return list(answer.ids)

    @property
    def end(self) -> int:
        return self._vocabulary.end

    def read(self, ids: Sequence[int], choice: Choice) -> Reading | None:
        """The labels at the place behind `ids`; None where none can be made out."""
        if not choice.nodes:
            return Reading(next(iter(choice.paths)), dict.fromkeys(choice.paths, 0.0))
        if not self._dialect.lists:
            return self._written_label(ids, choice)
        return labels.by_tokens(choice, lambda node: self._row([*ids, *node], choice.children(node)))

    def _row(self, ids: Sequence[int], wanted: Sequence[int]) -> labels.Row | None:
        """The log-probabilities of the tokens wanted behind `ids`; more are listed until all of them are there."""
        row: labels.Row | None = None
        for count in (LISTED, *_MORE_LISTED):
            if count > LISTED and not self._lists_more:
                break
            try:
                answer = self._complete(ids, {**_READ, "logprobs": count, "logprob_token_ids": list(wanted)})
            except Refused:
                if count == LISTED:
                    raise
                self._lists_more = False
                break
            if not answer.tokens:
                return row
            listed = answer.tokens[0]
            if count > LISTED and row is not None and len(listed.listed) <= LISTED + 1:
                self._lists_more = False
            row = labels.listed_ids(listed, wanted, self._vocabulary.piece)
            if len(row.known) == len(wanted):
                break
        return row

    def _written_label(self, ids: Sequence[int], choice: Choice) -> Reading | None:
        """The label that the server writes greedily, where it lists no log-probabilities."""
        longest = max(len(path) for path in choice.paths.values())
        answer = self._complete(ids, {"max_tokens": longest + 1, "temperature": 0.0})
        label = labels.written_label(list(choice.paths), answer.text)
        return None if label is None else Reading(label, None)

    def _complete(self, ids: Sequence[int], body: Mapping[str, Any]) -> Answer:
        prompt: list[int] | str = list(ids) if self._dialect.takes_ids else self._vocabulary.text(ids)
        extra = {**PLAIN_SAMPLING, "return_tokens_as_token_ids": True} if self._dialect.plain_sampling else {}
        return self._connection.post(
            PATH, {"model": self._model, "prompt": prompt, **extra, **body}, self._checked(ids)
        )

    def _checked(self, ids: Sequence[int]) -> Callable[[dict[str, Any]], Answer]:
        def read(values: dict[str, Any]) -> Answer:
            answer = self._same.check(completion(values))
            if self._dialect.takes_ids and answer.prompt_tokens not in (None, len(ids)):
                raise BadAnswer(f"the server read {answer.prompt_tokens} tokens where {len(ids)} were sent")
            if any(one >= self._vocabulary.model.vocabulary_size for one in answer.ids or ()):
                raise BadAnswer("the server wrote a token that the vocabulary does not have")
            return answer

        return read


_READ: Mapping[str, Any] = {"max_tokens": 1, "temperature": 0.0}


class _Turn:
    """One turn that the server writes, followed token by token."""

    def __init__(self, asker: CompletionAsker, turns: Turns, slot: Slot, known: list[int]) -> None:
        self._asker = asker
        self._turns = turns
        self._slot = slot
        self._reading: Reading | None = None
        self.known = known

    def run(self) -> tuple[Reply, Reading | None]:
        """The finished reply and the last reading of the labels."""
        while True:
            answer = self._asker.write(self.known, self._slot.job.ask, self._tokens_left())
            ids = self._asker.ids_of(answer)
            if not answer.cut:
                ids = [*ids, self._asker.end]
            elif not ids:
                raise BadAnswer("the server wrote nothing and says that it was cut")
            reply = self._follow(ids)
            if reply is not None:
                return reply, self._reading

    def _tokens_left(self) -> int:
        slot, script = self._slot, self._slot.job.ask.script
        thinking = slot.job.reasoning.max_tokens - slot.thought_tokens if slot.thinking and slot.job.reasoning else 0
        if not isinstance(script, Judgment | Free):
            return thinking
        return thinking + script.max_tokens - (slot.generated - slot.thought_tokens)

    def _follow(self, ids: Sequence[int]) -> Reply | None:
        """Moves the turn on by what came. None where it is not over, or something else has to stand in its place: then
        it is written on from `known`."""
        at = 0
        while at < len(ids):
            token = ids[at]
            reply = self._turns.take(self._slot, token)
            due, self._turns.to_read = self._turns.to_read, []
            for slot, lead, final in due:
                reply = self._read(lead, final) or reply
                if final:
                    return slot.reply() if reply is None else reply
            if reply is not None:
                return reply
            todo, at = self._slot.todo, at + 1
            self.known += todo
            behind = todo[1:] if todo[:1] == [token] else None
            if behind is None or list(ids[at : at + len(behind)]) != behind:
                return None
            at += len(behind)
        return None

    def _read(self, lead: Sequence[int], final: bool) -> Reply | None:
        slot = self._slot
        assert slot.job.choice is not None
        self._reading = self._asker.read([*self.known, *lead], slot.job.choice)
        # Only that there was a reading matters to the turn; what was read goes into the reply at the end.
        slot.reading = {} if self._reading is None else self._reading.log_probabilities or {}
        return slot.reply() if final or slot.ending else None


def check_vocabulary(vocabulary: Vocabulary, answer: Answer) -> None:
    """Raises ModelError where the server's tokens are not those of the file."""
    for token in answer.tokens or ():
        if isinstance(token.name, int) and token.data:
            is_known = token.name < vocabulary.model.vocabulary_size
            here = vocabulary.model.piece(token.name, special=True) if is_known else b""
            if here != token.data:
                raise ModelError(
                    f"token {token.name} is {token.data!r} for the server and {here!r} in {vocabulary.model.path}",
                    OTHER_MODEL,
                )


def check_reading(vocabulary: Vocabulary, by_text: Answer, by_ids: Answer) -> None:
    """Raises ModelError where a text is not, for the server, the ids that the file has for it: where it counts other
    tokens, or goes on otherwise. One token more may be one that begins every text; then nothing is known."""
    if (
        by_text.prompt_tokens is None
        or by_ids.prompt_tokens is None
        or by_text.prompt_tokens == by_ids.prompt_tokens + 1
    ):
        return
    is_same = by_text.prompt_tokens == by_ids.prompt_tokens
    if is_same and by_text.tokens and by_ids.tokens:
        best, listed = by_text.tokens[0], by_ids.tokens[0].listed
        is_same = abs(best.listed.get(best.name, 0.0) - listed.get(best.name, -math.inf)) <= _MOST_APART
    if not is_same:
        raise ModelError(f"the server reads the token ids of {vocabulary.model.path} as another text", OTHER_MODEL)
