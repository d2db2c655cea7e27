"""Text made of tokens as they come."""

from __future__ import annotations

import codecs


class Transcript:
    """UTF-8 joined across tokens, with its length in characters and its current line known."""

    __slots__ = ("_decoder", "_parts", "length", "line")

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._parts: list[str] = []
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
        self._parts.append(text)
        self.length += len(text)
        cut = text.rfind("\n")
        self.line = text[cut + 1 :] if cut >= 0 else self.line + text

    def preview(self, data: bytes) -> str:
        """The current line as it would be with these bytes added, from its start up to the next line break."""
        return (self.line + data.decode("utf-8", "replace")).split("\n", 1)[0]
