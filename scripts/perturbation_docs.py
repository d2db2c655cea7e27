"""Writes docs/perturbations.md out of the program: run `python scripts/perturbation_docs.py > docs/perturbations.md`
after changing a perturbation."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fare_cli.errors import visible
from fare_cli.records import Record, parse
from fare_cli.studies.audit.catalogue import PERTURBATIONS, PLANTED_KIND
from fare_cli.studies.audit.perturbation import RULES, Perturbation
from fare_cli.studies.audit.planting import PLANTED, Planting
from fare_cli.studies.audit.showing import before_and_after

EXAMPLES = 20
_FOLDER = Path(__file__).resolve().parent.parent / "examples" / "audit"
_FILES = {
    "pairwise.jsonl": "pairwise",
    "step.jsonl": "step",
    "verify.jsonl": "verify",
    "score.jsonl": "score",
    "paraphrased.jsonl": "verify",
    "translated.jsonl": "verify",
}
_CONTEXT = 24
_LONGEST = 150
_LONGEST_PASSAGE = 400
_ALIKE = 0.6
_SEEN = str.maketrans({"\n": "↵", "\u200b": "⁞", "`": "'"})
_START = """# Perturbations

What `fare audit` does to records, and what the verdict must do then (this file is made by
`python scripts/perturbation_docs.py > docs/perturbations.md`). The records of the examples lie in `examples/audit/`,
with their sources and licences; `fare audit FILE --show NAME` shows a whole record before and after.

In the examples `[-this-]` was there before, `{+this+}` is there now, `…` stands for what was left out here, `↵` for the
end of a line, `·` for a space at one, and `⁞` for a zero-width space. Where a judge's verdict would say which answer of
a pair is attacked, it is the one that gold does not name.
"""
_EFFECTS = {
    "invariant": "the verdict must stay as it is",
    "swap": "the labels must be exchanged",
    "reverse": "the score must be turned round: low + high - score",
}
_RIGHT = (
    "It is put into an answer that is known to be right: of a pair the one that gold names, else the reference, and "
    "the pair to judge is this answer beside itself with the error; in verify an answer with gold `yes`, else the "
    "reference; in step a solution with gold -1; in score an answer with gold in the upper half of the scale. Noticed: "
    "the untouched answer is preferred; the verdict is `no`; it is the step with the error; the score is lower than "
    "without."
)


def records() -> list[Record]:
    """The records of the examples, in turn from each file."""
    files = [
        [parse(task, json.loads(line)) for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines()]
        for name, task in _FILES.items()
    ]
    return [record for some in itertools.zip_longest(*files) for record in some if record is not None]


def document() -> str:
    """The whole of docs/perturbations.md."""
    known = records()
    parts = [_START, "## Where they are put\n"]
    parts += [f"* **{placement}**: {rule}" for placement, rule in RULES.items()]
    parts += [f"* **{PLANTED_KIND}**: {_RIGHT}\n"]
    for kind, some in itertools.groupby(PERTURBATIONS, key=lambda one: one.kind):
        parts.append(f"## Class {kind}\n")
        parts += [_section(one, known) for one in some]
    parts.append(f"## Class {PLANTED_KIND}\n")
    parts += [_section(one, known) for one in PLANTED]
    return "\n".join(parts)


def _section(one: Perturbation | Planting, known: list[Record]) -> str:
    about = f"For {', '.join(one.tasks)}; "
    if isinstance(one, Planting):
        about += "the judge must notice."
    else:
        about += f"{_EFFECTS[one.effect]}; placement: {one.placement}."
    lines = "\n".join(itertools.islice(_examples(one, known), EXAMPLES))
    return f"### {one.name}\n\n{one.description}\n\n{about}\n\n```text\n{lines}\n```\n"


def _examples(one: Perturbation | Planting, known: list[Record]) -> Iterator[str]:
    copies, number = 1 if isinstance(one, Planting) else one.copies, 0
    for record in known:
        # A record may bring fewer paraphrases or translations than there can be.
        for copy in (number % copies, 0):
            shown = before_and_after(one, record, copy)
            if shown is not None:
                before, after = shown
                if isinstance(one, Planting) and record.task == "pairwise":
                    before, after = _pair_as_change(after)
                yield f"{record.id}: {'; '.join(_changes(before, after))}"
                number += 1
                break


def _pair_as_change(pair: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pair of an answer and itself with an error, as a change of the answer."""
    right, wrong = ("answer_a", "answer_b") if pair["gold"] == "A" else ("answer_b", "answer_a")
    return {"answer": pair[right]}, {"answer": pair[wrong]}


def _changes(before: Any, after: Any) -> list[str]:
    """The changed passages with the field of each, at most two."""
    old, new = dict(_texts(before)), dict(_texts(after))
    # A score with an error has no gold: it only has to be lower. A rubric by scores may have become one text.
    gone = {name for name in old.keys() - new.keys() if name == "gold" or name.rpartition(".")[0] in new}
    fields = [name for name in (old | new) if old.get(name) != new.get(name) and name not in gone]
    return [f"{name} {_passage(old.get(name, ''), new.get(name, ''))}" for name in fields[:2]]


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{index}")
    elif value is not None:
        yield path, str(value)


def _passage(before: str, after: str) -> str:
    """From the first change to the last, word by word, with a little around it; both texts where little is the same."""
    old, new = (re.findall(r"\s+|\w+(?:⁞\w+)*|.", _seen(text)) for text in (before, after))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < _ALIKE and "".join(old) not in "".join(new):
        return f"[-{_cut(''.join(old))}-]{{+{_cut(''.join(new))}+}}"
    steps = matcher.get_opcodes()
    parts = []
    for number, (kind, a, b, c, d) in enumerate(steps):
        gone, come = "".join(old[a:b]), "".join(new[c:d])
        if kind == "equal":
            parts.append(_around(gone, first=number == 0, last=number == len(steps) - 1))
        else:
            parts.append((f"[-{_cut(gone)}-]" if gone else "") + (f"{{+{_cut(come)}+}}" if come else ""))
    text = "".join(parts)
    return text if len(text) <= _LONGEST_PASSAGE else f"{text[:_LONGEST_PASSAGE]}…"


def _around(text: str, *, first: bool, last: bool) -> str:
    """What stays the same: only what is next to a change."""
    if first:
        return text if len(text) <= _CONTEXT else f"…{text[-_CONTEXT:]}"
    if last:
        return text if len(text) <= _CONTEXT else f"{text[:_CONTEXT]}…"
    return text if len(text) <= 2 * _CONTEXT else f"{text[:_CONTEXT]}…{text[-_CONTEXT:]}"


def _cut(text: str) -> str:
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


def _seen(text: str) -> str:
    """The text with what cannot be seen written as signs."""
    return visible(re.sub(r" +(?=\n|$)", lambda match: "·" * len(match[0]), text).translate(_SEEN))


if __name__ == "__main__":
    print(document(), end="")
