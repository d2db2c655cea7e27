"""What a model thinks before it answers: where it begins, how it is followed, and how it is brought to an end.

Two layouts are known. Most reasoning models think between `<think>` and `</think>`. Harmony (gpt-oss) has channels: all
that comes before the final one is thinking. The prompt opens the thinking or passes over it (`template`); what is here
follows it token by token. The marks count as tokens only: their text, copied out of a record, ends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fare_cli.engine.transcript import Transcript

THINK = "<think>"
THINK_END = "</think>"

#: The tokens of harmony that structure a turn; a vocabulary that has them all is harmony's.
HARMONY_MARKS = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>")

#: What harmony writes to open the channel for thinking, and the one for answers.
ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|channel|>final<|message|>"


class Thought(Protocol):
    """The thinking of one turn while it is written."""

    transcript: Transcript

    def take(self, token: int) -> tuple[int, ...] | None:
        """Follows a token. None while the thinking goes on; when it is over, the tokens that belong behind this one."""
        ...

    def close(self) -> tuple[int, ...]:
        """The tokens that end the thinking where it stands and lead to where the answer begins."""
        ...


class ReasoningFormat(Protocol):
    """How the models of a family think.

    `longest_close` bounds what `Thought.close` gives. `leaving` are tokens that end an answer though they do not end
    the turn, `silent` those that are no part of its text."""

    longest_close: int
    leaving: frozenset[int]
    silent: frozenset[int]

    def begin(self) -> Thought:
        """Thinking that the prompt has just opened."""
        ...


class ThinkTags:
    """Thinking up to `</think>`, behind which `after` (mostly an empty line) leads to the answer."""

    leaving: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()

    def __init__(self, tokens_of: Callable[[str], list[int]], piece: Callable[[int], bytes], after: str) -> None:
        self.piece = piece
        self.newline = tuple(tokens_of("\n"))
        self.end, *rest = tokens_of(THINK_END + after)
        self.after = tuple(rest)
        self.longest_close = len(self.newline) + 1 + len(self.after)

    def begin(self) -> Thought:
        return _TaggedThought(self)


class _TaggedThought:
    def __init__(self, form: ThinkTags) -> None:
        self.transcript = Transcript()
        self._form = form

    def take(self, token: int) -> tuple[int, ...] | None:
        if token == self._form.end:
            return self._form.after
        self.transcript.add(self._form.piece(token))
        return None

    def close(self) -> tuple[int, ...]:
        newline = self._form.newline if self.transcript.line else ()
        return (*newline, self._form.end, *self._form.after)


class HarmonyChannels:
    """Thinking in harmony's messages up to the header of the final channel. The answer is that one message: any mark
    of another ends it."""

    def __init__(self, tokens_of: Callable[[str], list[int]], piece: Callable[[int], bytes]) -> None:
        self.piece = piece
        self.start, self.channel, self.message, self.end = (tokens_of(mark)[0] for mark in HARMONY_MARKS)
        constrain = tokens_of("<|constrain|>")
        self.leaving = frozenset((self.start, self.channel, self.end))
        self.silent = frozenset((self.message, *(constrain if len(constrain) == 1 else ())))
        self.to_final = tuple(tokens_of(f"<|start|>assistant{FINAL}"))
        self.longest_close = 2 + len(self.to_final)

    def begin(self) -> Thought:
        return _ChanneledThought(self)


class _ChanneledThought:
    """Between the marks there are three states: text, a header, and neither (behind `<|end|>`)."""

    def __init__(self, form: HarmonyChannels) -> None:
        self.transcript = Transcript()
        self._form = form
        self._in_text = True
        self._header: Transcript | None = None

    def take(self, token: int) -> tuple[int, ...] | None:
        form = self._form
        if token in (form.start, form.channel):
            self._header, self._in_text = Transcript(), False
        elif token == form.end:
            self._header, self._in_text = None, False
        elif token == form.message:
            words = self._header.text.split() if self._header else []
            if words[:1] == ["final"]:
                return ()
            self._header, self._in_text = None, True
            if self.transcript.line:
                self.transcript.add(b"\n")
        elif self._header is not None:
            self._header.add(form.piece(token))
        elif self._in_text and token not in form.silent:
            self.transcript.add(form.piece(token))
        return None

    def close(self) -> tuple[int, ...]:
        form = self._form
        if self._header is not None:
            return (form.message, form.end, *form.to_final)
        return (form.end, *form.to_final) if self._in_text else form.to_final
