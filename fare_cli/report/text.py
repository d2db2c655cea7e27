"""A report as plain text: for a terminal, a log, a mail."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from fare_cli.errors import visible
from fare_cli.meta.agreement import Proportion
from fare_cli.meta.bootstrap import Estimate
from fare_cli.report.model import Report, Table, Value
from fare_cli.report.words import estimate_in_words, number_in_words, share_in_words

_WIDTH = 100


def text_lines(report: Report) -> Iterator[str]:
    """Title, warnings, facts and tables, line by line. Plots are left to the page and to JSON."""
    yield report.title
    for warning in report.warnings:
        yield from textwrap.wrap(f"warning: {visible(warning)}", _WIDTH)
    for name, value in report.facts.items():
        if value is not None and value != {}:
            yield from textwrap.wrap(f"{name}: {fact_in_words(value)}", _WIDTH, subsequent_indent="  ")
    for table in report.tables:
        yield ""
        yield from table_lines(table)


def table_lines(table: Table) -> Iterator[str]:
    """A table in columns under its title, its note below. Numbers stand to the right."""
    yield visible(table.title)
    if not table.rows:
        yield "  (nothing)"
    else:
        heads = [column.heading for column in table.columns]
        cells = [[value_in_words(value) for value in row] for row in table.rows]
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        numeric = [all(not isinstance(row[index], str) for row in table.rows) for index in range(len(heads))]
        for line in [heads, *cells]:
            parts = (
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(line, widths, numeric, strict=True)
            )
            yield "  " + "  ".join(parts).rstrip()
    if table.note:
        yield from textwrap.wrap(visible(table.note), _WIDTH, initial_indent="  ", subsequent_indent="  ")


def value_in_words(value: Value) -> str:
    """A cell for people: an interval in brackets, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, Proportion):
        return share_in_words(value)
    if isinstance(value, Estimate):
        return estimate_in_words(value)
    if isinstance(value, float):
        return number_in_words(value)
    return f"{value:,}" if isinstance(value, int) else " ".join(visible(value).split())


def fact_in_words(value: object) -> str:
    """A fact for people: text and numbers as they are, anything else as JSON."""
    if isinstance(value, str):
        return " ".join(visible(value).split())
    if isinstance(value, dict):
        return ", ".join(f"{visible(str(name))} {fact_in_words(inner)}" for name, inner in value.items())
    return visible(json.dumps(value, ensure_ascii=False))
