"""Figures in words: a number is shown with what is known of where the true one lies."""

from __future__ import annotations

from fare_cli.meta.agreement import Interval, Proportion
from fare_cli.meta.bootstrap import Estimate

#: From here on, digits behind the point say nothing.
_LARGE = 100


def share_in_words(found: Proportion) -> str:
    """`3 of 60 (5.0%; 1.7% to 13.7%)`: count, share and interval."""
    if found.share is None:
        return "0 of 0"
    return f"{found.cases} of {found.of} ({interval_in_words(found)})"


def interval_in_words(found: Proportion) -> str:
    """`5.0%; 1.7% to 13.7%`: share and interval."""
    return f"{found.share:.1%}; {found.interval.low:.1%} to {found.interval.high:.1%}"


def estimate_in_words(found: Estimate) -> str:
    """`0.412 (0.301 to 0.512)`, `1023 (987 to 1060)`; without the brackets where there is no interval."""
    digits = 0 if max(map(abs, (found.value, *(found.interval or ())))) >= _LARGE else 3
    if found.interval is None:
        return f"{found.value:.{digits}f}"
    return f"{found.value:.{digits}f} ({range_in_words(found.interval, digits)})"


def range_in_words(found: Interval, digits: int = 3) -> str:
    """`0.301 to 0.512`."""
    return f"{found.low:.{digits}f} to {found.high:.{digits}f}"


def number_in_words(value: float) -> str:
    """`0.412`, `12.34`, `1,520.3`: what is smaller is shown with more decimals; `2.1e-07` where three would be none."""
    size = abs(value)
    if 0 < size < 0.0005:
        return f"{value:.1e}"
    return f"{value:,.3f}" if size < 10 else f"{value:,.2f}" if size < 100 else f"{value:,.1f}"
