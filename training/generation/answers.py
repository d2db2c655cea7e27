"""A final answer as one mathematical expression in LaTeX, or nothing: all that math-verify is given to read.

math-verify finds something to read in nearly any text. As LaTeX it takes `3:45` for 1/15, `2 1/2` for 3/2, `1 000` for
0, `Paris` for the product of its letters (which `Pairs` is, too), and of `1\\text{ hour } 30\\text{ min}` the 1; as
plain text it takes the last number that stands there. A label must not come of that: what is not clearly one
expression is nothing here.
"""

from __future__ import annotations

import re

_LONGEST = 200
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_DELIMITERS = re.compile(r"\\[()\[\]]|\\?\$|[€£¥₹]")
_DEGREES = re.compile(r"\s*(?:°|\^\s*\\circ|\^\s*\{\s*\\circ\s*\})")
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "π": r"\pi "})
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,|\{,\}|\\,|,\\!|\\!,)\d{3})+(?!\d|,\d|\{,\})")
_ENDS = " \t*_`"
# Behind a plain number: letters and what joins words, the first word of two letters at least.
_WITH_UNIT = re.compile(
    r"([-+]?\s*(?:\d+(?:\.\d+)?|\.\d+)(?:\s*/\s*\d+)?)\s*(\\?%|per\s?cent\b)?\s*([/(-]?\s*(?:an?\s+)?[^\W\d_]{2}[^\d=+*^<>\\{}]*)?"
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
# Not units: with these the number beside them is not the whole answer.
_CHANGING = re.compile(
    r"\b(?:and|or|to|not|but|less|more|fewer|than|over|under|times|plus|minus|out|of|score|"
    r"one|two|three|four|five|six|seven|eight|nine|ten|"
    r"(?:hundred|thousand|million|billion|trillion|dozen|third|quarter|fourth|fifth|sixth|eighth|tenth|hundredth)s?|"
    r"half|halves)\b",
    re.IGNORECASE,
)
# Two numbers side by side, a clock or a ratio, a decimal comma, a power of ten in another notation.
_AMBIGUOUS = re.compile(r"\d(?:\s|~|\\[,;: ])+\.?\d|\d\s*:\s*\d|\d,\d|\d[eE][-+]?\d|!")
_ALLOWED = re.compile(r"[A-Za-z0-9\s+\-*/^_=<>().,\[\]{}\\|%]+")
_EQUALS = re.compile(r"(?<![<>!\\])=")


def expression(text: str) -> str | None:
    r"""The expression that a final answer is (`\$1,000 a week`, `\(\frac{1}{2}\)`, `x = 3`), or None: it is empty, has
    words that are no unit, several numbers side by side, or more than 200 characters.

    Units, currencies and digit groups are taken away; a per cent sign stays.
    """
    text = _plainer(text)
    if not 0 < len(text) <= _LONGEST:
        return None
    number = _WITH_UNIT.fullmatch(text)
    if number:
        plain = re.sub(r"\s", "", number[1]) + (r"\%" if number[2] else "")
        return None if _CHANGING.search(number[3] or "") else plain
    bracketed = text[0] in "([" or text.startswith(r"\{")
    if _WORD.search(_COMMAND.sub(" ", text)) or not _ALLOWED.fullmatch(text):
        return None
    # Inside brackets a comma separates.
    return None if _AMBIGUOUS.search(re.sub(r",(?=\S)", ", ", text) if bracketed else text) else text


def behind_equals(text: str) -> str:
    """What a final answer says behind its last equals sign (`5 * 3 = 15`, `Total = 15`), as math-verify reads it. The
    text as it is where more than one side of an equation stands before that: `x = 1, y = 2`, `7, as 3 + 4 = 7`."""
    *before, last = _EQUALS.split(text)
    left = "=".join(before)
    has_words = _WORD.search(_COMMAND.sub(" ", left))
    return text if "," in left or ";" in left or (has_words and re.search(r"\d", left)) else last


def _plainer(text: str) -> str:
    """The text without marks of form: emphasis, mathematical delimiters, currencies, digit groups, the full stop."""
    text = _TEXT_COMMAND.sub(r" \1 ", text.translate(_SIGNS))
    text = _DEGREES.sub("", _DELIMITERS.sub("", text)).strip(_ENDS + "\n")
    text = text.rstrip(".").strip(_ENDS)
    return _THOUSANDS.sub(lambda found: re.sub(r"\D", "", found[0]), text) if text[:1] not in "([" else text
