"""JSON values out of a stream, one after the other, so that a long array need not fit in memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import Any

from fare_cli.errors import InputError

MAX_JSON_BYTES = 256 * 1024 * 1024
"""Largest JSON object document, and largest single line or array element of JSON."""

_STEP_CHARACTERS = 1024 * 1024
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class JsonText:
    """JSON that is decoded value by value, with about the largest value held in memory."""

    def __init__(self, name: str, read: Callable[[int], bytes]) -> None:
        self._name = name
        self._read = read
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._held = ""
        self._at = 0
        self._ended = False

    def next_character(self) -> str:
        """The next character that is not white space, which stays; "" at the end."""
        while True:
            space = _SPACE.match(self._held, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._held) or not self._more():
                return self._held[self._at : self._at + 1]

    def take(self, character: str, where: str = "") -> None:
        found = self.next_character()
        if found != character:
            there = f"{found!r}" if found else "the file ends"
            raise InputError(f"{self._name}: the JSON array is broken {where}: expected {character!r}, {there}")
        self._at += 1

    def value(self, where: str) -> Any:
        self.next_character()
        while True:
            try:
                value, self._at = _DECODER.raw_decode(self._held, self._at)
                return value
            except RecursionError:
                raise InputError(f"{self._name}, {where}: the JSON is nested too deep") from None
            except ValueError as error:
                if len(self._held) - self._at > MAX_JSON_BYTES or not self._more():
                    raise InputError(f"{self._name}, {where}: {reason(error)}") from None

    def _more(self) -> bool:
        """Holds at least as much again, so that a value cut at the end is not decoded more often than it is long."""
        if self._ended:
            return False
        parts = [self._held[self._at :]]
        self._at = 0
        wanted = max(_STEP_CHARACTERS, len(parts[0]))
        while wanted > 0 and not self._ended:
            data = self._read(_STEP_CHARACTERS)
            self._ended = not data
            try:
                parts.append(self._decoder.decode(data, final=self._ended))
            except UnicodeDecodeError as error:
                raise InputError(f"{self._name} is not UTF-8 text: {error.reason}") from None
            wanted -= len(parts[-1])
        self._held = "".join(parts)
        return len(parts[0]) < len(self._held)


def reason(error: ValueError) -> str:
    """Why text is no JSON, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} (column {error.colno})"
    return f"not JSON: {error}"
