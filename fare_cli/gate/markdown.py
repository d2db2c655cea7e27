"""The outcome as Markdown: for a comment on a change, and for the summary of a step.

Whatever comes out of records (ids, file names) stands in code spans.
"""

from __future__ import annotations

from collections.abc import Iterator

from fare_cli.errors import FareError
from fare_cli.gate.gate import GateResult
from fare_cli.report.markdown import MOST_BYTES, code
from fare_cli.report.text import fact_in_words


def markdown(result: GateResult, *, most_bytes: int = MOST_BYTES) -> str:
    """The outcome, the limits, the records that changed and the judge, in at most so many bytes of UTF-8.

    Records are left out from the end where there is no room, and the text says how many.
    """
    head = "\n".join([*_head(result), ""])
    tail = "\n".join([*_judge(result), ""])
    rows = list(_rows(result))
    room = most_bytes - len((head + tail).encode()) - 500
    taken = 0
    for row in rows:
        room -= len(row.encode()) + 1
        if room < 0:
            break
        taken += 1
    return head + _table(result, rows[:taken], len(rows)) + tail


def markdown_fault(error: FareError) -> str:
    """What stands there instead where the verdicts could not be gated at all."""
    return "\n".join(
        ["### fare gate: no outcome", "", *(f"- {code(text)}" for text in (error.message, error.hint) if text), ""]
    )


def _head(result: GateResult) -> Iterator[str]:
    yield f"### fare {result.title}"
    yield ""
    yield "| limit | outcome | found | records |"
    yield "|---|---|---|---|"
    for check in result.checks:
        yield f"| {code(check.name)} | **{check.decided}** | {check.shown} | {code(check.records)} |"
    yield ""
    for warning in result.warnings:
        yield f"- {code(warning)}"
    if result.warnings:
        yield ""


def _rows(result: GateResult) -> Iterator[str]:
    for one in result.changed:
        texts = (one.after.id, one.after.place, one.before_said, one.after_said)
        yield f"| {' | '.join(map(code, texts))} | {'better' if one.better > 0 else 'worse'} |"


def _table(result: GateResult, rows: list[str], of: int) -> str:
    if not of:
        return ""
    worse = sum(one.better < 0 for one in result.changed)
    left_out = f" The table has the first {len(rows):,}." if len(rows) < of else ""
    lines = [
        f"<details><summary>{worse:,} records got worse, {of - worse:,} better.{left_out}</summary>",
        "",
        "| id | record | before | after | change |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "</details>",
        "",
    ]
    return "\n".join(lines) + "\n"


def _judge(result: GateResult) -> Iterator[str]:
    run = result.run
    judge = fact_in_words(run.facts.get("judge", run.fingerprint))
    invalid = f", {len(run.invalid):,} invalid" if run.invalid else ""
    yield f"{len(run.cases):,} verdicts{invalid}; judge {code(judge)}. Intervals: {100 * result.plan.confidence:g}%."
