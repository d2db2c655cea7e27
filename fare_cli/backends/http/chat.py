"""Asks through `/v1/chat/completions`, where nothing is known of the model but its name.

The server has the template. What the protocol does not allow is not pretended: no marker is forced, so a turn without a
verdict line is an error of its ask; labels are read where the model wrote one, from the tokens that the server lists
there; special strings in the record's text are broken, and verdicts say `injection_guard: false`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fare_cli.asks import Ask, Direct, Given, Judgment, Reply
from fare_cli.backends.http.answers import Answer, SameModel, Written, chat_completion
from fare_cli.backends.http.completions import LISTED, PLAIN_SAMPLING
from fare_cli.backends.http.connection import Connection, Refused
from fare_cli.backends.http.guarding import Neutraliser
from fare_cli.backends.http.labels import Reading, by_text, written_label

PATH = "/v1/chat/completions"

_DIRECT_TOKENS = 32
"""Room for marker and label, in whatever pieces a vocabulary cuts them."""


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """What a server takes: how many tokens it lists at a place (0: none), switches for all of `PLAIN_SAMPLING` and for
    thinking, and the name of the limit of tokens."""

    listed: int = LISTED
    plain_sampling: bool = True
    limit_name: str = "max_tokens"

    def body(self, tokens: int) -> dict[str, Any]:
        """The part of a request that depends on the server."""
        listing = {"logprobs": True, "top_logprobs": self.listed} if self.listed else {}
        return {self.limit_name: tokens, **listing}


#: What is tried, in order, until a server takes it. Hosted models refuse switches they do not know, some list only five
#: tokens or none, and some want another name for the limit.
DIALECTS = (
    ChatDialect(),
    ChatDialect(plain_sampling=False),
    ChatDialect(listed=5, plain_sampling=False),
    ChatDialect(plain_sampling=False, limit_name="max_completion_tokens"),
    ChatDialect(listed=0, plain_sampling=False),
    ChatDialect(listed=0, plain_sampling=False, limit_name="max_completion_tokens"),
)


class ChatAsker:
    """Answers asks by chat. Usable from many threads."""

    guarded = False
    reasons = True

    def __init__(self, connection: Connection, model: str, dialect: ChatDialect, neutraliser: Neutraliser) -> None:
        self._connection = connection
        self._same = SameModel()
        self._model = model
        self._dialect = dialect
        self._neutraliser = neutraliser

    def show(self, ask: Ask) -> str:
        """The messages of an ask as they are sent."""
        return "\n".join(json.dumps(one, ensure_ascii=False) for one in self._messages(ask))

    def answer(self, ask: Ask) -> Reply:
        """The reply. Raises Refused, Lost."""
        script = ask.script
        if isinstance(script, Given):
            raise Refused("unsupported", "log-probabilities of a given text cannot be asked of a server")
        answer = self._connection.post(PATH, self._body(ask), lambda one: self._same.check(chat_completion(one)))
        reply = Reply(
            text=answer.text,
            reasoning=answer.reasoning,
            truncated=answer.cut,
            prompt_tokens=answer.prompt_tokens or 0,
            generated_tokens=answer.written,
            injection_guard=False,
        )
        return _judged(reply, script, answer) if isinstance(script, Direct | Judgment) else reply

    def _messages(self, ask: Ask) -> list[dict[str, str]]:
        return [{"role": one.role, "content": one.text} for one in self._neutraliser.messages(ask.messages)]

    def _body(self, ask: Ask) -> dict[str, Any]:
        script, sampling = ask.script, ask.sampling
        tokens = _DIRECT_TOKENS if isinstance(script, Direct | Given) else script.max_tokens
        reasoning = script.reasoning if isinstance(script, Direct | Judgment) else None
        body = {
            "model": self._model,
            "messages": self._messages(ask),
            "temperature": sampling.temperature,
            "top_p": 1.0,
        }
        body |= self._dialect.body(tokens + (reasoning.max_tokens if reasoning else 0))
        if sampling.temperature > 0:
            body["seed"] = sampling.seed
        if reasoning is not None:
            body["reasoning_effort"] = reasoning.effort
        if self._dialect.plain_sampling:
            body |= {**PLAIN_SAMPLING, "chat_template_kwargs": {"enable_thinking": reasoning is not None}}
        return body


def probe(model: str, dialect: ChatDialect) -> Mapping[str, Any]:
    """A request that costs one token and shows whether a server takes a dialect."""
    extra = {**PLAIN_SAMPLING, "chat_template_kwargs": {"enable_thinking": False}} if dialect.plain_sampling else {}
    messages = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": "Is 2 + 2 = 4?"}]
    return {"model": model, "messages": messages, "temperature": 0.0, "top_p": 1.0, **dialect.body(1), **extra}


def _judged(reply: Reply, script: Direct | Judgment, answer: Answer) -> Reply:
    """The reply with the label of its last verdict line. Raises Refused where it has none."""
    start = _behind_marker(answer.text, script.marker)
    # A turn that was cut stands behind its verdict only if it was cut there.
    if start is None or (answer.cut and "\n" in answer.text[start:]):
        raise Refused("no_label", f"the turn {'was cut before' if answer.cut else 'ended without'} a verdict line")
    reading = None if answer.tokens is None else _read(answer.tokens, script)
    if reading is None:
        label = written_label(script.labels, answer.text[start:])
        if label is None:
            said = " ".join(answer.text[start : start + 40].split())
            raise Refused("no_label", f"the verdict line says {said!r}, which is none of the labels")
        reading = Reading(label, None)
    return Reply(
        text="" if isinstance(script, Direct) else reply.text,
        reasoning=reply.reasoning,
        label=reading.label,
        log_probabilities=reading.log_probabilities,
        read_at=None if isinstance(script, Direct) else start,
        truncated=reply.truncated,
        prompt_tokens=reply.prompt_tokens,
        generated_tokens=reply.generated_tokens,
        injection_guard=False,
    )


def _behind_marker(text: str, marker: str) -> int | None:
    """Where the last line that begins with the marker goes on behind it; None without one."""
    at = len(text)
    while (at := text.rfind(marker, 0, at)) >= 0:
        if at == 0 or text[at - 1] == "\n":
            return at + len(marker)
    return None


def _read(tokens: Sequence[Written], script: Direct | Judgment) -> Reading | None:
    """The labels behind the last marker, from the tokens that stand there. A token that the marker ends in is taken for
    its rest, as are those listed beside it that begin with the same."""
    data = [token.text.encode() if token.data is None else token.data for token in tokens]
    start = _behind_marker(b"".join(data).decode("latin-1"), script.marker)
    if start is None:
        return None
    behind: list[Written] = []
    at = 0
    for token, own in zip(tokens, data, strict=True):
        cut = max(0, min(len(own), start - at))
        at += len(own)
        if at > start or (at == start and not own):
            behind.append(_without(token, cut))
    return by_text(script.labels, behind)


def _without(token: Written, cut: int) -> Written:
    """A token without its first `cut` characters, and the tokens beside it that begin with the same ones."""
    begin = token.text[:cut]
    rest = {text[cut:]: value for text, value in token.texts.items() if text.startswith(begin)}
    return Written(token.text[cut:], token.text[cut:], None, {}, rest)
