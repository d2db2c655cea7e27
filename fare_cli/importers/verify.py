"""Importers of verify sets: answers that are known to be right or wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fare_cli.importers import judge_bench, mathcheck, question_answering
from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.naming import question_name
from fare_cli.importers.row import Row

_GSM8K_MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")


def _gsm8k_solutions(*, reference: bool) -> Callable[[Iterable[Row]], Iterator[Made | Skipped]]:
    def records(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
        for row in rows:
            question = row.text("question")
            name = question_name(question)
            for model in _GSM8K_MODELS:
                record = {
                    "id": f"{name}-{model}",
                    "group": name,
                    "system": model,
                    "question": question,
                    "reference": row.text("ground_truth") if reference else None,
                    "answer": row.text(f"{model}.solution"),
                    "gold": row.choice(f"{model}.is_correct", {True: "yes", False: "no"}),
                }
                yield Made(row, record)

    return records


_THE_REFERENCE = "the answer is the reference itself"
_BOTH = "the answer is listed as right and as wrong"


def _truthfulqa(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.text("Question")
        name = question_name(question)
        best = row.text("Best Answer").strip()
        answers = {gold: _listed(row.text(column)) for gold, column in _TRUTHFULQA_LISTS.items()}
        for gold, kind in (("yes", "right"), ("no", "wrong")):
            for number, answer in enumerate(answers[gold], start=1):
                if answer in answers["yes"] and answer in answers["no"]:
                    yield Skipped(row, _BOTH)
                elif answer.rstrip(".") == best.rstrip("."):
                    yield Skipped(row, _THE_REFERENCE)
                else:
                    record = {
                        "id": f"{name}-{kind}-{number}",
                        "group": name,
                        "category": row.text("Category"),
                        "question": question,
                        "reference": best,
                        "answer": answer,
                        "gold": gold,
                    }
                    yield Made(row, record)


_TRUTHFULQA_LISTS = {"yes": "Correct Answers", "no": "Incorrect Answers"}


def _listed(answers: str) -> list[str]:
    return list(dict.fromkeys(answer.strip() for answer in answers.split(";") if answer.strip()))


_TRUTHFULQA_PROMPT = re.compile(r"Q: (.*?)\nA: (.*)\nTrue:", re.DOTALL)

_REPEATED = "the same answer with the same label again"
_CONTRADICTORY = "the same answer is labelled both yes and no"
_EMPTY = "an empty answer"


def _truthfulqa_judge(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    read = list(rows)
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for row in read:
        labels[row.text("prompt")].add(row.choice("completion", {" yes": "yes", " no": "no"}))
    seen: set[str] = set()
    for row in read:
        prompt = row.text("prompt")
        parts = _TRUTHFULQA_PROMPT.fullmatch(prompt)
        if parts is None:
            row.refuse("prompt", "is not `Q: ...`, `A: ...` and `True:` on lines of their own")
        question, answer = parts.groups()
        name = question_name(question)
        if prompt in seen or len(labels[prompt]) > 1 or not answer.strip():
            reason = _CONTRADICTORY if len(labels[prompt]) > 1 else _REPEATED if prompt in seen else _EMPTY
            yield Skipped(row, reason)
            continue
        seen.add(prompt)
        record = {
            "id": f"{name}-{question_name(answer)}",
            "group": name,
            "question": question,
            "answer": answer,
            "gold": next(iter(labels[prompt])),
        }
        yield Made(row, record)


_NOTHING_MADE_UP = (
    "An answer is right here if it states nothing that is false, cannot be verified or has nothing to do with the "
    "question, and wrong if any part of it does."
)


def _halueval_general(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.text("user_query")
        record = {
            "id": f"halueval-{row.text('ID')}",
            "group": question_name(question),
            "system": "chatgpt",
            "question": question,
            "answer": row.text("chatgpt_response"),
            "protocol": _NOTHING_MADE_UP,
            "gold": row.choice("hallucination", {"no": "yes", "yes": "no"}),
        }
        yield Made(row, record)


def _halueval_qa(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.text("question")
        name = question_name(question)
        both: dict[str, Any] = {"group": name, "question": question, "context": row.text("knowledge")}
        for field, gold in (("right_answer", "yes"), ("hallucinated_answer", "no")):
            yield Made(row, {"id": f"{name}-{field.split('_')[0]}", **both, "answer": row.text(field), "gold": gold})


IMPORTERS: tuple[Importer, ...] = (
    *(
        Importer(
            name=name,
            task="verify",
            source="openai/grade-school-math (Cobbe et al. 2021)",
            licence="MIT",
            files="example_model_solutions.jsonl",
            gold=f"`is_correct` of each of the four models: the final answer is right{told}",
            records=_gsm8k_solutions(reference=reference),
        )
        for name, reference, told in (
            ("gsm8k-solutions", False, ""),
            ("gsm8k-solutions-reference", True, ". `ground_truth` is the reference"),
        )
    ),
    *question_answering.IMPORTERS,
    Importer(
        name="truthfulqa",
        task="verify",
        source="sylinrl/TruthfulQA (Lin et al. 2021)",
        licence="Apache-2.0",
        files="TruthfulQA.csv",
        gold="the column: yes for `Correct Answers`, no for `Incorrect Answers`. `Best Answer` is the reference and no "
        "record of its own",
        nulls="an answer that is the reference, or is listed in both columns, is skipped",
        records=_truthfulqa,
    ),
    Importer(
        name="truthfulqa-judge",
        task="verify",
        source="sylinrl/TruthfulQA (Lin et al. 2021)",
        licence="Apache-2.0",
        files="finetune_truth.jsonl (finetune_info.jsonl has the same fields and labels something else)",
        gold="`completion`: whether the answer is true",
        nulls="empty answers, repeated rows, and answers with both labels are skipped",
        records=_truthfulqa_judge,
    ),
    Importer(
        name="halueval-general",
        task="verify",
        source="RUCAIBox/HaluEval (Li et al. 2023)",
        licence="MIT",
        files="general_data.json",
        gold="`hallucination`, by people: no is yes (a right answer) and yes is no; `protocol` says so",
        records=_halueval_general,
    ),
    Importer(
        name="halueval-qa",
        task="verify",
        source="RUCAIBox/HaluEval (Li et al. 2023)",
        licence="MIT",
        files="qa_data.json, qa_one-turn_data.json, qa_multi-turn_data.json",
        gold="two records a row: `right_answer` is yes, `hallucinated_answer` is no; `knowledge` is the context",
        records=_halueval_qa,
    ),
    *mathcheck.VERIFY_IMPORTERS,
    *judge_bench.VERIFY_IMPORTERS,
)
