"""What a number looks like, whatever its value."""

from __future__ import annotations

import re
from typing import NamedTuple

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Form(NamedTuple):
    """Digits before and after the point, and how many of them are left without the zeros at the end (150 has two): the
    fewer, the rounder."""

    digits: int
    decimals: int
    significant: int


def form(text: str) -> Form:
    """The form of a number as it is written."""
    whole, _, decimals = text.replace(",", "").partition(".")
    digits = (whole + decimals).lstrip("0")
    return Form(len(whole.lstrip("0")), len(decimals), len(digits.rstrip("0")))
