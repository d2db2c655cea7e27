"""The strings that the code blocks of a model card hold, with the names they go by. Nothing of a card is executed."""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_PYTHON = {"python", "python3", "py"}
_PLAIN = {"text", "txt", "plaintext", "markdown", "md"}
_STRIPS = {"strip", "lstrip", "rstrip"}
_LONGEST_SEPARATOR = 100
"""A long one between thousands of short strings would fill the memory."""
_ROLES = {"system", "user", "assistant"}


class CardText(NamedTuple):
    """A string of a card: the line of its block or of the string itself (from 1), what it is called (the heading, then
    the names in the code), its role where a chat message says it, and the text."""

    line: int
    name: str
    role: str | None
    text: str


class Unread(NamedTuple):
    """Something of a card that is no literal; `text` is what can be seen of it, a NUL for each value of an f-string."""

    line: int
    name: str
    reason: str
    text: str


class CardTexts(NamedTuple):
    texts: list[CardText]
    unread: list[Unread]


class _Block(NamedTuple):
    line: int
    heading: str
    language: str
    content: str


def card_texts(card: str) -> CardTexts:
    """All strings in the fenced blocks of a card, in order."""
    found = CardTexts([], [])
    for block in _blocks(card):
        try:
            _read_block(block, found)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = f"this block is not valid {block.language or 'code'}: {type(error).__name__}"
            found.unread.append(Unread(block.line, block.heading, reason, block.content))
    return found


def _blocks(card: str) -> Iterator[_Block]:
    card = card.replace("\r\n", "\n")
    front = _FRONT_MATTER.match(card)
    lines = card.split("\n")
    number = front[0].count("\n") if front else 0
    heading = ""
    while number < len(lines):
        line = lines[number]
        number += 1
        if title := _HEADING.match(line):
            heading = title[1]
        elif fence := _FENCE.match(line):
            begin = number
            while number < len(lines) and not _closes(lines[number], fence[1]):
                number += 1
            content = textwrap.dedent("\n".join(lines[begin:number]))
            yield _Block(begin + 1, heading, fence[2].casefold(), content)
            number += 1


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= len(fence) and set(stripped) == {fence[0]}


def _read_block(block: _Block, found: CardTexts) -> None:
    if block.language in _PYTHON:
        _Literals(block, found).read()
    elif block.language in ("json", "jsonc") or (not block.language and block.content.lstrip()[:1] in ("{", "[")):
        try:
            value = json.loads(block.content)
        except ValueError:
            if block.language:
                raise
            _take_whole(block, found)  # "[User Question]" begins like a list
        else:
            found.texts.extend(_json_texts(block, value))
    elif block.language in _PLAIN or not block.language:
        _take_whole(block, found)


def _take_whole(block: _Block, found: CardTexts) -> None:
    found.texts.append(CardText(block.line, block.heading or "a block of text", None, block.content))


def _json_texts(block: _Block, value: Any, names: tuple[str, ...] = (), role: str | None = None) -> Iterator[CardText]:
    if isinstance(value, str):
        yield CardText(block.line, _name(block, names), role, value)
    elif isinstance(value, list):
        for item in value:
            yield from _json_texts(block, item, names)
    elif isinstance(value, dict):
        said = value.get("role")
        for key, item in value.items():
            of_message = said if key == "content" and said in _ROLES else None
            yield from _json_texts(block, item, names if of_message else (*names, key), of_message)


def _name(block: _Block, names: tuple[str, ...]) -> str:
    return ": ".join(filter(None, (block.heading, ".".join(names)))) or "a string"


class _Literals:
    """Reads the literal strings of a Python block by its syntax tree."""

    def __init__(self, block: _Block, found: CardTexts) -> None:
        self._block = block
        self._texts: list[CardText] = []
        self._found = found
        self._roles: dict[str, str] = {}

    def read(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a string that is not raw
            tree = ast.parse(self._block.content)
        self._visit(tree, ())
        for text in self._texts:
            called = text.name.rpartition(": ")[2]
            self._found.texts.append(text._replace(role=text.role or self._roles.get(called)))

    def _visit(self, node: ast.AST, names: tuple[str, ...], role: str | None = None) -> None:
        text = _literal(node)
        line = self._block.line + getattr(node, "lineno", 1) - 1
        if text is not None:
            self._texts.append(CardText(line, _name(self._block, names), role, text))
        elif reason := _made_by_code(node):
            self._found.unread.append(Unread(line, _name(self._block, names), reason, _seen(node)))
        elif isinstance(node, ast.Dict):
            self._visit_dict(node, names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            called = [_called(target) for target in targets]
            if node.value is not None:
                self._visit(node.value, (*names, *filter(None, called[:1])))
        elif isinstance(node, ast.keyword | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            called_as = node.arg if isinstance(node, ast.keyword) else node.name
            for child in ast.iter_child_nodes(node):
                self._visit(child, (*names, *filter(None, (called_as,))))
        else:
            for child in ast.iter_child_nodes(node):
                self._visit(child, names)

    def _visit_dict(self, node: ast.Dict, names: tuple[str, ...]) -> None:
        """A dict; a chat message tells the role of its content, which may be a name given before."""
        items = {
            key.value: value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
        said = _literal(items["role"]) if "role" in items else None
        for key, value in items.items():
            if key != "content" or said not in _ROLES:
                self._visit(value, (*names, key))
                continue
            self._visit(value, names, said)
            used = value.func.value if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else value
            if isinstance(used, ast.Name):
                self._roles[used.id] = str(said)


def _called(target: ast.expr) -> str | None:
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)
    return None


def _made_by_code(node: ast.AST) -> str | None:
    """Why a string is not known without running the code; None for what is no string, or a template and its filling."""
    if isinstance(node, ast.JoinedStr):
        return "an f-string is code, which is not run"
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Mod) and _seen(node):
        return "it is put together by code, which is not run"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _literal(node.func.value) is not None:
        called = node.func.attr
        return f"it is changed by .{called}(), which is not run" if called not in ("format", "join") else None
    return None


def _seen(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return "".join(
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def _literal(node: ast.AST) -> str | None:
    """The string that a node stands for whatever else is in the program; None if it is no such string.

    Beside plain and joined literals these are `a + b`, `.strip()`, `dedent(...)` and `sep.join([...])` of literals.
    """
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _literal(node.left), _literal(node.right)
        return None if left is None or right is None else left + right
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    if _called(node.func) == "dedent" and len(node.args) == 1:
        text = _literal(node.args[0])
        return None if text is None else textwrap.dedent(text)
    if not isinstance(node.func, ast.Attribute):
        return None
    on = _literal(node.func.value)
    if on is None:
        return None
    if node.func.attr in _STRIPS and not node.args:
        return str(getattr(on, node.func.attr)())
    if node.func.attr == "join" and len(node.args) == 1 and isinstance(node.args[0], ast.List | ast.Tuple):
        parts = [_literal(part) for part in node.args[0].elts]
        if None not in parts and len(on) <= _LONGEST_SEPARATOR:
            return on.join(part for part in parts if part is not None)
    return None
