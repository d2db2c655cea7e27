"""What is known of one ask while it is served: its token ids, what it has written, what was read."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from fare_cli.asks import Ask, Direct, Given, Reply, ReplyError
from fare_cli.engine.choice import Choice
from fare_cli.engine.native import Row, Sampler


@dataclass(slots=True, eq=False)
class Job:
    """An ask in token ids. `tokens` is all that is known before the model writes; `first_row` is the first of them
    whose logits are needed, `prompt_tokens` how many belong to the prompt. `growth` bounds the cells it needs beyond
    `tokens`, and `fixed` counts the leading tokens that are the same for every record. `lead` are the tokens between
    `tokens` and the labels of a direct judgment, where those are read on branches."""

    ask: Ask
    tokens: list[int]
    first_row: int
    prompt_tokens: int
    growth: int
    fixed: int
    choice: Choice | None = None
    lead: tuple[int, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether the model generates anything."""
        return not isinstance(self.ask.script, Direct | Given)


class Transcript:
    """Text made of tokens as they come: UTF-8 joined across tokens, channel headers left out, the current line
    known."""

    __slots__ = ("_decoder", "_in_header", "_parts", "in_final", "length", "line")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parts: list[str] = []
        self._in_header: list[str] | None = None
        self.in_final = False
        self.length = 0
        self.line = ""

    @property
    def text(self) -> str:
        """All text so far; bytes of a character that is not complete become U+FFFD."""
        pending, _ = self._decoder.getstate()
        return "".join(self._parts) + pending.decode("utf-8", "replace")

    def add(self, data: bytes) -> None:
        """Takes the bytes of a token."""
        text = self._decoder.decode(data)
        if not text:
            return
        if self._in_header is not None:
            self._in_header.append(text)
            return
        self._parts.append(text)
        self.length += len(text)
        cut = text.rfind("\n")
        self.line = text[cut + 1 :] if cut >= 0 else self.line + text

    def preview(self, data: bytes) -> str:
        """The current line as it would be with these bytes added, from its start up to the next line break."""
        return (self.line + data.decode("utf-8", "replace")).split("\n", 1)[0]

    def open_header(self) -> None:
        """A channel header begins: its words are not text (harmony)."""
        self._in_header = []

    def close_header(self) -> None:
        """A channel's text begins, on a new line."""
        self.in_final = "".join(self._in_header or ()).strip().endswith("final")
        self._in_header = None
        if self.length and self.line:
            self.add(b"\n")


@dataclass(slots=True, eq=False)
class Slot:
    """One live sequence and the job it serves. `position` counts the tokens in its cache; `todo` are known tokens
    that are not in it yet; `reading` is the last one of the labels, `read_at` where in the text it was made."""

    job: Job
    sequence: int
    position: int
    todo: list[int]
    sampler: Sampler | None = None
    transcript: Transcript = field(default_factory=Transcript)
    generated: int = 0
    reading: dict[str, float] | None = None
    read_at: int | None = None
    log_probability: float = 0.0
    rows: dict[tuple[int, ...], Row] = field(default_factory=dict)
    ending: bool = False
    forced: bool = False
    truncated: bool = False

    def reply(self) -> Reply:
        """The finished answer from what was written and read."""
        reading = self.reading
        best = max(reading, key=reading.__getitem__) if reading else None
        return Reply(
            text=self.transcript.text,
            label=best,
            log_probabilities=self.reading,
            read_at=None if self.forced else self.read_at,
            forced=self.forced,
            truncated=self.truncated,
            log_probability=self.log_probability if isinstance(self.job.ask.script, Given) else None,
            prompt_tokens=self.job.prompt_tokens,
            generated_tokens=self.generated,
        )

    def failure(self, kind: str, message: str) -> Reply:
        """A reply that says why there is no answer; what was written is kept for the reader."""
        return Reply(
            text=self.transcript.text,
            prompt_tokens=self.job.prompt_tokens,
            generated_tokens=self.generated,
            error=ReplyError(kind, message),
        )
