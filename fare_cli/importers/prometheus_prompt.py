"""The judge prompts in which prometheus-eval publishes its sets, cut at their headings."""

from __future__ import annotations

from typing import NamedTuple

from fare_cli.importers.row import Row

_HEADINGS = {
    "instruction": "###The instruction to evaluate:\n",
    "response": "\n\n###Response to evaluate:\n",
    "reference": "\n\n###Reference Answer (Score 5):\n",
    "rubric": "\n\n###Score Rubrics:\n",
    "end": "\n\n###Feedback:",
}


class PrometheusPrompt(NamedTuple):
    """What the judge was shown; `criterion` is the rubric's first line without its brackets, `rubric` all of it."""

    instruction: str
    response: str
    reference: str | None
    criterion: str
    rubric: str


def prometheus_prompt(row: Row, path: str) -> PrometheusPrompt:
    """The parts of the prompt in a field. Raises InputError where a heading is missing."""
    text = row.text(path)

    def cut(text: str, part: str, *, last: bool = False) -> tuple[str, str]:
        heading = _HEADINGS[part]
        before, found, after = text.rpartition(heading) if last else text.partition(heading)
        if not found:
            row.refuse(path, f"is no prompt of prometheus-eval: it has no heading {heading.strip()!r}")
        return before, after

    # From both ends, since the answer in the middle may hold headings of its own.
    instruction, rest = cut(cut(text, "instruction")[1], "response")
    rest, rubric = cut(cut(rest, "end", last=True)[0], "rubric", last=True)
    response, found, reference = rest.partition(_HEADINGS["reference"])
    criterion = rubric.strip().partition("\n")[0].strip().removeprefix("[").removesuffix("]")
    return PrometheusPrompt(instruction, response, reference if found else None, criterion, rubric.strip())
