"""Questions whose final answer is known: rows of files, or records with a reference of published sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fare_cli.importers.importer import Made
from fare_cli.importers.naming import question_name
from fare_cli.importers.reading import read_rows
from fare_cli.importers.registry import importer_named
from fare_cli.importers.row import Row
from fare_cli.rank.final_answers import marked_answer
from training.curation.sources import NEVER, Source, credit_of, refuse_never
from training.generation.answers import expression
from training.generation.equivalence import Equivalence


class Known(NamedTuple):
    """A question and its known final answer, as the data writes it. `name` is a hash of the question's text."""

    name: str
    question: str
    answer: str
    source: str
    licence: str


def checkable(
    sources: Sequence[Source], credit: Mapping[str, str], equivalence: Equivalence, counts: Counter[str]
) -> list[Known]:
    """The questions of all sources, each once, whose known answer can be checked, in their order.

    `credit` has `source` and `licence` for rows that do not state their own. `counts` gets `rows`, `repeated`,
    `contradictory` (questions with two known answers, of which neither is taken) and `not_checkable`. Raises InputError
    with file, line and field for a row without question or known answer, and for sets that must not be trained on.
    """
    answers: dict[str, set[str]] = {}
    questions: dict[str, Known] = {}
    for source in sources:
        for row in _rows(source):
            counts["rows"] += 1
            known = _known(row, credit)
            counts["repeated"] += known.name in questions
            questions.setdefault(known.name, known)
            answers.setdefault(known.name, set()).add(expression(known.answer) or known.answer)
    found = []
    for known in questions.values():
        if len(answers[known.name]) > 1:
            counts["contradictory"] += 1
        elif equivalence.compare(known.answer, known.answer) != "same":
            counts["not_checkable"] += 1
        else:
            found.append(known)
    return found


def _rows(source: Source) -> Iterator[Row]:
    """Rows with `question` and the known answer; of an importer those that it makes of its rows."""
    files = [str(path) for path in source.files]
    if source.importer is None:
        yield from read_rows(files)
        return
    importer = importer_named(source.importer)
    credit = {"source": importer.name, "licence": importer.licence}
    for made in importer.records(read_rows(files)):
        if isinstance(made, Made):
            yield Row(made.row.file, made.row.line, {**made.record, **credit})


def _known(row: Row, credit: Mapping[str, str]) -> Known:
    question = row.text("question")
    if row.values.get("reference") is not None:
        answer = row.text("reference")
    elif "gold" in row.values:
        row.refuse("reference", "is missing: `answer` is one to be judged, as the row has `gold`")
    else:
        answer = row.text("answer")
    stated = credit_of(row) | {name: value for name, value in credit.items() if not row.values.get(name)}
    refuse_never(stated["source"], f"{row.file}, line {row.line}: the question", NEVER)
    # A worked solution says its final answer behind a mark; without one the text is the answer.
    return Known(question_name(question), question, marked_answer(answer) or answer.strip(), **stated)
