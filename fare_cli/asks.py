"""The waist: what is asked of a model (`Ask`) and what comes back (`Reply`).

Above it everything is pure Python on text; below it nothing knows what judging is.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant"]


class Piece(NamedTuple):
    """A run of text inside a message. `ours` is False for text of the record, which is never trusted."""

    text: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message; its content is the pieces joined without anything between them."""

    role: Role
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


Effort = Literal["low", "medium", "high"]


class Reasoning(NamedTuple):
    """How far a model may think before it answers: the effort it is told, where its template has words for that, and
    the tokens after which its thinking is closed for it."""

    effort: Effort
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Judgment:
    """Free text up to `max_tokens`, judged at the last line that starts with `marker`.

    At every line-initial marker the probabilities of `labels` are read; at the end of the turn the last reading counts.
    Where none was written, or the turn was cut by `max_tokens`, the marker is forced and the labels are read there.
    Labels follow the marker in the text, so they carry their leading space (`" [A]"`). With `reasoning` the model
    thinks first; what it thinks is no part of the text, and no marker is looked for in it.
    """

    marker: str
    labels: tuple[str, ...]
    max_tokens: int
    reasoning: Reasoning | None = None


@dataclass(frozen=True, slots=True)
class Direct:
    """The marker forced as the first words of the answer, the labels read there; nothing is generated but, with
    `reasoning`, what the model thinks before."""

    marker: str
    labels: tuple[str, ...]
    reasoning: Reasoning | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """The log-probabilities of fixed texts, one behind the other as the turn; nothing is generated. Each of `parts` is
    tokenised by itself, so that what is read of it depends on those before alone."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Free:
    """Plain sampling to the end of the turn, at most `max_tokens` tokens."""

    max_tokens: int


Script = Judgment | Direct | Given | Free


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 is greedy and ignores the seed."""

    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """One unit of model work. `id` is the caller's, unique among the asks that are under way."""

    id: str
    messages: tuple[Message, ...]
    script: Script
    sampling: Sampling = Sampling()

    def content_hash(self, weights: str) -> str:
        """32 hex digits that name this question to these weights, whatever its id: the key of the journal.

        `weights` is `BackendInfo.weights`. Text is hashed piece by piece with its trust, since trust changes token ids.
        """
        content = {
            "weights": weights,
            "messages": [[message.role, [[p.text, p.ours] for p in message.pieces]] for message in self.messages],
            "script": [type(self.script).__name__, *(getattr(self.script, name) for name in self.script.__slots__)],
            "sampling": [self.sampling.temperature, self.sampling.seed if self.sampling.temperature > 0 else 0],
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class ReplyError:
    """Why an ask has no answer. `kind`: `too_long`, `decode_failed`, `nan`, `cancelled`, ... (stable names)."""

    kind: str
    message: str


class GivenPart(NamedTuple):
    """What was read of a part of a given text: the sum over its tokens, in nats, and how many they are."""

    log_probability: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for an ask.

    `text` is what the model answered, without special tokens (empty for `Direct` and `Given`); `reasoning` is what it
    thought before that, and `reasoning_truncated` says that its thinking was closed at its limit. `log_probabilities`
    are natural logarithms over the script's labels, normalised to sum to one; `label` is the most probable. `read_at`
    is the offset in `text` (characters) just behind the marker where the labels were read; None where it was forced.
    `given` has an entry for each part of `Given`. `generated_tokens` counts thinking and answer. Exactly one of `error`
    and a usable answer is there. A backend that cannot know probabilities gives a `label` without them. Without
    `injection_guard`, text of the record could have been read as special tokens.
    """

    text: str = ""
    reasoning: str = ""
    reasoning_truncated: bool = False
    label: str | None = None
    log_probabilities: Mapping[str, float] | None = None
    read_at: int | None = None
    forced: bool = False
    truncated: bool = False
    given: tuple[GivenPart, ...] | None = None
    prompt_tokens: int = 0
    generated_tokens: int = 0
    injection_guard: bool = True
    error: ReplyError | None = None

    @property
    def margin(self) -> float | None:
        """Nats between the most probable label and the next; None where no labels were read."""
        if self.log_probabilities is None:
            return None
        best = sorted(self.log_probabilities.values(), reverse=True)
        return best[0] - best[1] if len(best) > 1 else math.inf

    def to_json(self) -> dict[str, Any]:
        """The reply as JSON values, defaults left out; `from_json` gives an equal reply back."""
        values = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) != _DEFAULTS[name]}
        if self.error is not None:
            values["error"] = {"kind": self.error.kind, "message": self.error.message}
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Reply:
        """A reply from what `to_json` gave. Raises TypeError or ValueError on anything else."""
        fields = dict(values)
        if fields.get("error") is not None:
            fields["error"] = ReplyError(**fields["error"])
        if fields.get("given") is not None:
            fields["given"] = tuple(GivenPart(*part) for part in fields["given"])
        return cls(**fields)


_DEFAULTS = {name: getattr(Reply(), name) for name in Reply.__slots__}


class Answer(NamedTuple):
    """A finished ask: its id and its reply."""

    ask_id: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Who answers. `weights` identifies everything below the prompts that changes an answer (weights and adapter, as
    sha256); `model` is the name for people; `engine` is provenance (llama.cpp version, device, KV type, flags)."""

    weights: str
    model: str
    engine: Mapping[str, str | int | float | bool | None]


class Backend(Protocol):
    """Takes asks while it runs and answers them in any order."""

    @property
    def info(self) -> BackendInfo: ...

    @property
    def window(self) -> int:
        """How many asks should be under way to keep it busy."""
        ...

    def submit(self, asks: Sequence[Ask]) -> None:
        """Takes asks. Those that share a prefix (orders, votes, criteria of one record) should come in one call."""
        ...

    def collect(self) -> list[Answer]:
        """Works until at least one ask is answered; [] if none is under way, or after a `nudge`. Never raises for a
        single ask's trouble.

        Raises KeyboardInterrupt soon after `interrupt` was called; asks under way are then lost.
        """
        ...

    def nudge(self) -> None:
        """Makes a running `collect`, or the next one, return soon, if only with []: there is something to submit or to
        cancel. Only sets a flag: safe from any thread."""
        ...

    def cancel(self, ask_ids: Sequence[str]) -> None:
        """Forgets asks that are under way; they are not answered."""
        ...

    def interrupt(self) -> None:
        """Makes `collect` stop within a second. Only sets a flag: safe inside a signal handler."""
        ...

    def close(self) -> None: ...
