"""What a server answered, checked: text, tokens and their log-probabilities, whichever of three shapes they come in.

llama-server and every chat endpoint list `logprobs.content`, one entry a token, llama-server with token ids. vLLM and
SGLang give the older four lists (`tokens`, `token_logprobs`, `top_logprobs`, `text_offset`), vLLM with `token_id:7` in
place of texts where it is asked to, and beside them `token_ids`. What does not fit raises BadAnswer: a server that
answers something else has not answered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fare_cli.backends.http.connection import BadAnswer
from fare_cli.errors import EnvironmentFault

_ID = "token_id:"
# Rounding in the server: a probability of 1 may be listed as a little more.
_MOST = 1e-3

#: A token by its id, or by its text where the server gives no ids.
Name = int | str


class Written(NamedTuple):
    """One token that the server wrote: its name, its text, its bytes where they are given, and the most probable
    tokens at its place with their log-probabilities (nats, over the whole vocabulary), itself among them: `listed` by
    name, `texts` by text."""

    name: Name
    text: str
    data: bytes | None
    listed: Mapping[Name, float]
    texts: Mapping[str, float]


class Answer(NamedTuple):
    """A finished request. `tokens` is None where the server does not list them, `ids` where it does not give ids;
    `cut` says that the limit of tokens ended it. Counts are None where the server does not count."""

    text: str
    reasoning: str
    tokens: tuple[Written, ...] | None
    ids: tuple[int, ...] | None
    cut: bool
    prompt_tokens: int | None
    generated_tokens: int | None
    model: str | None

    @property
    def written(self) -> int:
        """How many tokens the server wrote, as it counts; as they are listed where it does not; else 0."""
        return self.generated_tokens if self.generated_tokens is not None else len(self.tokens or self.ids or ())


class SameModel:
    """Holds a server to the name that it first answered by: another one in its place would be another judge."""

    def __init__(self) -> None:
        self._name: str | None = None

    def check(self, answer: Answer) -> Answer:
        """The answer. Raises EnvironmentFault where another model gave it."""
        if answer.model is not None:
            self._name = self._name or answer.model
            if answer.model != self._name:
                raise EnvironmentFault(
                    f"the server answers as {answer.model!r} now, and did as {self._name!r} before",
                    "verdicts of two models do not go together; what was answered is kept",
                )
        return answer


def completion(values: Mapping[str, Any]) -> Answer:
    """An answer of `/v1/completions`. Raises BadAnswer."""
    choice = _choice(values)
    text = choice.get("text")
    if not isinstance(text, str):
        raise BadAnswer("the answer has no text")
    return _answer(values, choice, text, "")


def chat_completion(values: Mapping[str, Any]) -> Answer:
    """An answer of `/v1/chat/completions`. Raises BadAnswer."""
    choice = _choice(values)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise BadAnswer("the answer has no message")
    # A model that only thought has no content.
    text = message.get("content") or ""
    thought = message.get("reasoning_content") or message.get("reasoning") or ""
    if not isinstance(text, str) or not isinstance(thought, str):
        raise BadAnswer("the message of the answer is no text")
    return _answer(values, choice, text, thought)


def _choice(values: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = values.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise BadAnswer("the answer does not hold one choice")
    return choices[0]


def _answer(values: Mapping[str, Any], choice: Mapping[str, Any], text: str, thought: str) -> Answer:
    finish = choice.get("finish_reason")
    if finish not in ("stop", "length"):
        # `content_filter`, `abort`, none at all: the turn is neither over nor cut by our limit.
        raise BadAnswer(f"the turn ended by {str(finish)[:40]!r}")
    tokens = _tokens(choice.get("logprobs"))
    ids = choice.get("token_ids")
    if ids is not None:
        ids = tuple(_id(one) for one in _list(ids))
    elif tokens is not None and all(isinstance(one.name, int) for one in tokens):
        ids = tuple(int(one.name) for one in tokens)
    usage = values.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    model = values.get("model")
    return Answer(
        text=text,
        reasoning=thought,
        tokens=tokens,
        ids=ids,
        cut=finish == "length",
        prompt_tokens=_count(usage.get("prompt_tokens")),
        generated_tokens=_count(usage.get("completion_tokens")),
        model=model if isinstance(model, str) else None,
    )


def _tokens(logprobs: Any) -> tuple[Written, ...] | None:
    if logprobs is None:
        return None
    if not isinstance(logprobs, dict):
        raise BadAnswer("the log-probabilities are no object")
    if isinstance(logprobs.get("content"), list):
        return tuple(_entry(one) for one in logprobs["content"])
    if logprobs.get("tokens") is None:
        return None
    names = [_name(one) for one in _list(logprobs["tokens"])]
    tops = logprobs.get("top_logprobs")
    tops = [None] * len(names) if tops is None else _list(tops)
    if len(tops) != len(names):
        raise BadAnswer("the lists of log-probabilities are not equally long")
    return tuple(_in_lists(name, _listed(top or {})) for name, top in zip(names, tops, strict=True))


def _in_lists(name: Name, listed: Mapping[Name, float]) -> Written:
    texts = {one: value for one, value in listed.items() if isinstance(one, str)}
    return Written(name, name if isinstance(name, str) else "", None, listed, texts)


def _entry(one: Any) -> Written:
    if not isinstance(one, dict) or not isinstance(one.get("token"), str):
        raise BadAnswer("a token of the answer has no text")
    listed: dict[Name, float] = {}
    texts: dict[str, float] = {}
    for other in [*_list(one.get("top_logprobs") or []), one]:
        if not isinstance(other, dict) or not isinstance(other.get("token"), str):
            raise BadAnswer("a listed token has no text")
        value = _nats(other.get("logprob"))
        listed.setdefault(_id(other["id"]) if "id" in other else _name(other["token"]), value)
        texts.setdefault(other["token"], value)
    name = _id(one["id"]) if "id" in one else _name(one["token"])
    return Written(name, one["token"], _bytes(one.get("bytes")), listed, texts)


def _listed(top: Any) -> dict[Name, float]:
    if not isinstance(top, dict):
        raise BadAnswer("the listed tokens are no object")
    return {_name(name): _nats(value) for name, value in top.items()}


def _name(token: Any) -> Name:
    if not isinstance(token, str):
        raise BadAnswer("a token of the answer has no text")
    return _id(int(token[len(_ID) :])) if token.startswith(_ID) and token[len(_ID) :].isdecimal() else token


def _id(token: Any) -> int:
    if not isinstance(token, int) or isinstance(token, bool) or token < 0:
        raise BadAnswer("a token id of the answer is no number")
    return token


def _nats(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value) or value > _MOST:
        raise BadAnswer(f"{str(value)[:40]} is no log-probability")
    return min(float(value), 0.0)


def _bytes(values: Any) -> bytes | None:
    if values is None:
        return None
    try:
        return bytes(_list(values))
    except (TypeError, ValueError):
        raise BadAnswer("the bytes of a token are no bytes") from None


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise BadAnswer("the answer has something else where a list belongs")
    return values


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
