"""A report as Markdown: for a comment on a change, a wiki, a mail.

Whatever comes out of records (ids, file names, questions) stands in code spans: there Markdown is not read, so that a
record can neither link, nor show a picture, nor call for a person by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from fare_cli.errors import visible
from fare_cli.report.model import Report, Table, Value
from fare_cli.report.text import fact_in_words, value_in_words

#: A comment on GitHub has at most 65,536 characters; other bytes than these may count as several.
MOST_BYTES = 60_000
# What is said of rows that are left out.
_ROOM = 200


def markdown(report: Report, *, most_bytes: int = MOST_BYTES) -> str:
    """Title, warnings, facts and tables, in at most so many bytes of UTF-8.

    Rows are left out from the end of the last tables where there is no room, and the text says how many. Plots are left
    to the page and to JSON.
    """
    head = "\n".join([*_head(report), ""])
    room = most_bytes - len(head.encode())
    parts = [head]
    for table in report.tables:
        part = _fitting(table, room)
        room -= len(part.encode())
        parts.append(part)
    return "".join(parts)


def code(text: str) -> str:
    """Text in a code span, in a cell of a table or outside of one."""
    shown = " ".join(visible(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`" if shown else ""


def _head(report: Report) -> Iterator[str]:
    yield f"### {code(report.title)}"
    yield ""
    for warning in report.warnings:
        yield f"- {code(warning)}"
    for name, value in report.facts.items():
        if value is not None and value != {}:
            yield f"- {code(f'{name}: {fact_in_words(value)}')}"


def _fitting(table: Table, room: int) -> str:
    """The table with as many rows as there is room for; nothing where there is not even room for its heading."""
    heading = [
        "",
        f"**{visible(table.title)}**",
        "",
        f"| {' | '.join(visible(column.heading) for column in table.columns)} |",
        "|---" * len(table.columns) + "|",
    ]
    note = ["", code(table.note)] if table.note else []
    room -= len("\n".join([*heading, *note, ""]).encode()) + _ROOM
    if room < 0:
        return ""
    rows: list[str] = []
    for row in table.rows:
        line = f"| {' | '.join(map(_cell, row))} |"
        room -= len(line.encode()) + 1
        if room < 0:
            break
        rows.append(line)
    left_out = len(table.rows) - len(rows)
    more = ["", f"{left_out:,} more rows have no room here."] if left_out else []
    return "\n".join([*heading, *rows, *more, *note, ""])


def _cell(value: Value) -> str:
    return code(value) if isinstance(value, str) else value_in_words(value)
