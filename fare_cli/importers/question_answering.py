"""Importers of answers to open questions that people have compared with known answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from fare_cli.errors import InputError
from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.naming import question_name
from fare_cli.importers.row import Row

_SYSTEMS = ("fid", "gpt35", "chatgpt", "gpt4", "newbing")

_IMPROPER = "a question that EVOUNA calls improper"
_NOT_JUDGED = "an answer that nobody has judged"
_EMPTY = "an empty answer"


def _evouna(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        if row.choice("improper", {True: True, False: False}):
            yield Skipped(row, _IMPROPER)
            continue
        question = row.text("question")
        name = question_name(question)
        for system in _SYSTEMS:
            gold = row.choice(f"judge_{system}", {True: "yes", False: "no", None: None})
            if gold is None:
                yield Skipped(row, _NOT_JUDGED)
                continue
            answer = "" if row.value(f"answer_{system}") is None else row.text(f"answer_{system}")
            if not answer.strip():
                yield Skipped(row, _EMPTY)
                continue
            record = {
                "id": f"{name}-{system}",
                "group": name,
                "system": system,
                "question": question,
                "reference": row.text("golden_answer"),
                "answer": answer,
                "gold": gold,
            }
            yield Made(row, record)


_ACCEPTABLE = {"Yes": "yes", "No": "no"}
_PEOPLE = ("annotator1", "annotator2", "annotator3")

_NO_REFERENCE = "a question without an entry among the known answers"


def _nq301(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    judged: list[Row] = []
    references: dict[str, str] = {}
    for row in rows:
        if row.has("Acceptable?"):
            judged.append(row)
        else:
            references[row.text("question")] = " / ".join(row.texts("answer"))
    for found, missing in (
        (judged, "no answers with `Acceptable?`: NQ301_human.tsv"),
        (references, "no known answers (`question`, `answer`): a file of model_outputs, such as NQ_FiD.jsonl"),
    ):
        if not found:
            raise InputError(f"nq301 is joined from two files, and there are {missing}", "give both files")
    answers: Counter[str] = Counter()
    for row in judged:
        question = row.text("Question")
        if question not in references:
            yield Skipped(row, _NO_REFERENCE)
            continue
        group = row.text("id")
        answers[group] += 1
        record = {
            "id": f"nq301-{group}-{answers[group]}",
            "group": f"nq301-{group}",
            "question": question,
            "reference": references[question],
            "answer": row.text("Model answer"),
            "gold": row.choice("Acceptable?", _ACCEPTABLE),
            "annotations": {person: row.choice(person, {**_ACCEPTABLE, "": None}) for person in _PEOPLE},
        }
        yield Made(row, record)


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="evouna",
        task="verify",
        source="wangcunxiang/QA-Eval (Wang et al. 2023)",
        licence="Apache-2.0",
        files="EVOUNA/NQ.json, EVOUNA/TQ.json",
        gold="`judge_M` for each system M: a person says that its answer means the golden one, which is the reference "
        "(several are joined by `/` there)",
        nulls="answers that are not judged or empty, and questions called improper, are skipped",
        records=_evouna,
    ),
    Importer(
        name="nq301",
        task="verify",
        source="ehsk/OpenQA-eval (Kamalloo et al. 2023)",
        licence="MIT",
        files="NQ301_human.tsv and, joined on the question, one of model_outputs for the known answers (NQ_FiD.jsonl)",
        gold="`Acceptable?`; annotator1, annotator2 and, mostly where they differ, annotator3 in `annotations`",
        nulls="an annotator who said nothing is null; a question without known answers is skipped",
        records=_nq301,
    ),
)
