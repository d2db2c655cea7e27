"""One-pass template filling: what is filled in is never looked at again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fare_cli.asks import Piece

Filling = str | tuple[Piece, ...]
"""What stands for a placeholder: text of the record, or pieces made before."""

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}|[{}]")


class TemplateFault(ValueError):
    """What is wrong with a template's text."""


@dataclass(frozen=True, slots=True)
class Template:
    """Text with `{placeholder}`s; `{{` and `}}` stand for single braces."""

    parts: tuple[tuple[str, bool], ...]
    """(text, whether it is the name of a placeholder), in order."""

    @classmethod
    def read(cls, text: str) -> Template:
        """The template in a text. Raises TemplateFault for a brace neither doubled nor part of a placeholder."""
        parts: list[tuple[str, bool]] = []
        literal, end = "", 0
        for token in _TOKEN.finditer(text):
            literal += text[end : token.start()]
            end = token.end()
            if token[0] in ("{{", "}}"):
                literal += token[0][0]
            elif token[1] is None:
                raise TemplateFault(f"a lone {token[0]} in line {text.count(chr(10), 0, token.start()) + 1}: double it")
            else:
                parts += [(literal, False), (token[1], True)]
                literal = ""
        parts.append((literal + text[end:], False))
        return cls(tuple((text, is_name) for text, is_name in parts if text or is_name))

    @property
    def placeholders(self) -> frozenset[str]:
        return frozenset(text for text, is_name in self.parts if is_name)

    def fill(self, values: Mapping[str, Filling]) -> tuple[Piece, ...]:
        """Pieces of the template (ours) and of the values; a value that is text is the record's. Neighbours of equal
        trust are one piece."""
        pieces: list[Piece] = []
        for text, is_name in self.parts:
            value: Filling = values[text] if is_name else (Piece(text, True),)
            pieces.extend((Piece(value, False),) if isinstance(value, str) else value)
        return joined(pieces)


def joined(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """The same text in as few pieces as can be: empty ones dropped, neighbours of equal trust made one."""
    result: list[Piece] = []
    for piece in pieces:
        if result and result[-1].ours == piece.ours:
            result[-1] = Piece(result[-1].text + piece.text, piece.ours)
        elif piece.text:
            result.append(piece)
    return tuple(result)
