"""Special strings inside a record's text, made harmless where the server reads text and not token ids.

A server tokenises what it is sent with special tokens on: `<|im_end|>` in an answer ends the turn there, and what
follows speaks with another voice. A space behind the first character keeps such a string readable and makes it plain
text. This is less than token ids give: a vocabulary may know strings that nobody here knows of. Verdicts say so
(`injection_guard: false`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from fare_cli.asks import Message, Piece

# The forms that families of models give their special tokens: ChatML, Llama, gpt-oss and Phi; DeepSeek with full-width
# bars; Llama 2, Mistral and T5; Gemma; the tags of thinking and of tools.
_FORMS = (
    r"<\|[^<>|\n]{0,64}\|?>",
    r"<｜[^<>｜\n]{0,64}｜?>",
    r"</?s>",
    r"<(?:bos|eos|pad|unk|mask|sep|cls)>",
    r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\]",
    r"<</?SYS>>",
    r"</?(?:start_of_turn|end_of_turn|think|tool_call|tool_response|reserved_\d+)>",
)


class Neutraliser:
    """Breaks special strings in untrusted text: those of the known forms, and those of a vocabulary, if given."""

    def __init__(self, vocabulary: Iterable[str] = ()) -> None:
        own = sorted((text for text in vocabulary if len(text) > 1 and not text.isspace()), key=len, reverse=True)
        self._pattern = re.compile("(?=" + "|".join([*_FORMS, *map(re.escape, own)]) + ")", re.IGNORECASE)

    def text(self, text: str) -> str:
        """The text with a space behind the first character of each such string; others stay as they are."""
        found = [match.start() + 1 for match in self._pattern.finditer(text)]
        pieces = [text[start:end] for start, end in zip([0, *found], [*found, len(text)], strict=True)]
        return " ".join(pieces)

    def messages(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages with the record's text made harmless. Neighbouring pieces of it are looked at together, so that
        no string is put together from two of them."""
        return tuple(replace(message, pieces=tuple(self._pieces(message.pieces))) for message in messages)

    def _pieces(self, pieces: Sequence[Piece]) -> list[Piece]:
        joined: list[Piece] = []
        for piece in pieces:
            if joined and not piece.ours and not joined[-1].ours:
                joined[-1] = Piece(joined[-1].text + piece.text, False)
            else:
                joined.append(piece)
        return [piece if piece.ours else Piece(self.text(piece.text), False) for piece in joined]
