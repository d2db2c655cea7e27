"""A mistake in code: it does not compile any more."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from fare_cli.studies.audit.mistake import Material, Mistake, with_text
from fare_cli.studies.audit.texts import Span, has_code

_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.S)
_BLOCK = re.compile(r"^(\s*(?:def|class|if|elif|else|for|while|try|except|with)\b.*):[ \t]*$", re.M)
_CLOSING = re.compile(r"[)\]}]")
_KEYWORD = re.compile(r"^(\s*)(return|def|for|while|import)\b", re.M)


def broken_code(material: Material) -> Mistake | None:
    """Python that does not compile any more: a colon or a bracket less, or a misspelt keyword.

    It is in a fenced block, or all of the answer; what did not compile before is left alone.
    """
    places = [(part, span) for part, text in enumerate(material.parts) for span in _python(text)]
    if not places:
        return None
    part, span = material.draw.choice(places)
    code = material.parts[part][span.start : span.end]
    candidates = [code[: match.end(1)] + code[match.end(1) + 1 :] for match in _BLOCK.finditer(code)]
    candidates += [code[: match.start()] + code[match.end() :] for match in _CLOSING.finditer(code)]
    for match in _KEYWORD.finditer(code):
        word = match[2]
        candidates.append(code[: match.start(2)] + word[:-2] + word[-1] + word[-2] + code[match.end(2) :])
    material.draw.shuffle(candidates)
    broken = next((one for one in candidates if not _compiles(one)), None)
    return None if broken is None else Mistake(with_text(material.parts, part, span, broken), part)


def _python(text: str) -> list[Span]:
    """Where Python that compiles stands: fenced blocks, or the whole text if it has two lines and a statement."""
    fenced = [Span(*match.span(1)) for match in _FENCED.finditer(text)]
    if not fenced and "\n" in text.strip() and has_code(text):
        fenced = [Span(0, len(text))]
    return [span for span in fenced if text[span.start : span.end].strip() and _compiles(text[span.start : span.end])]


def _compiles(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(textwrap.dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
