"""Importers of step sets: worked solutions of which the first wrong step is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath

from fare_cli.importers import agent_logs, mathcheck, mr_ben
from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.naming import question_name
from fare_cli.importers.row import Row
from fare_cli.importers.solution import CONTRADICTION, REDUNDANCY, first_wrong, from_one, labelled, unnumbered


def _processbench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        name = row.text("id")
        problem = row.text("problem")
        record = {
            "id": name,
            "group": question_name(problem),
            "category": name.rpartition("-")[0] or None,
            "system": row.text("generator"),
            "question": problem,
            "steps": row.texts("steps"),
        }
        wrong = row.whole("label")
        if wrong < -1:
            row.refuse("label", f"is {wrong}, and ProcessBench knows -1 and the steps from 0 on")
        yield labelled(row, record, wrong)


_REDUNDANT_CLASSES = frozenset({"redundency", "circular"})
"""PRMBench's spelling. Its authors hold redundancy, not validity, against these two classes."""


def _prmbench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        name = row.text("idx")
        category = row.text("classification")
        if category == "redundency":
            # The original solution as the right one, once a question: from these rows, as in the authors' evaluation.
            yield Made(row, _prmbench_original(row))
        steps = row.texts("modified_process")
        wrong_steps = [from_one(row, f"error_steps.{index}") for index in range(len(row.items("error_steps")))]
        record = {
            "id": f"{category}-{name}",
            "group": name,
            "category": category,
            "question": row.text("modified_question"),
            "steps": unnumbered(steps),
            "protocol": REDUNDANCY if category in _REDUNDANT_CLASSES else None,
            "reason": row.values.get("reason"),
        }
        if wrong_steps and max(wrong_steps) >= len(steps):
            # The list was made for another number of steps: its first entry is not to be trusted either.
            yield labelled(row, record, max(wrong_steps))
        else:
            yield labelled(row, record, min(wrong_steps, default=-1))


def _prmbench_original(row: Row) -> dict[str, object]:
    name = row.text("idx")
    return {
        "id": f"correct-{name}",
        "group": name,
        "category": "correct",
        "question": row.text("original_question"),
        "steps": unnumbered(row.texts("original_process")),
        "gold": -1,
    }


def _mr_gsm8k(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.text("question")
        right = row.choice("model_output_solution_correctness", {"correct": True, "wrong": False})
        wrong = first_wrong(row, "model_output_solution_first_error_step", right=right)
        record = {
            "id": row.text("uuid"),
            "group": question_name(question),
            "category": row.text("question_type"),
            "question": question,
            "steps": unnumbered(row.texts("model_output_steps")),
            "reason": row.values.get("model_output_solution_first_error_reason"),
        }
        yield Skipped(row, CONTRADICTION) if wrong is None else labelled(row, record, wrong)


_MISTAKE_TASKS = {
    "dyck_languages": "The question is a sequence of opening brackets and some of the closing ones; the task is to "
    "write the closing brackets that are missing, in the right order.",
    "logical_deduction": None,
    "multistep_arithmetic": None,
    "tracking_shuffled_objects": None,
    "word_sorting": "The question is a list of words; the task is to sort them alphabetically.",
}
"""The files of BIG-Bench-Mistake by task. Two publish the bare input, so the record says what is to be done with it."""


def _bigbench_mistake(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        task = next((task for task in _MISTAKE_TASKS if task in PurePath(row.file).name), None)
        question = row.text("input")
        wrong = -1 if row.value("mistake_index") is None else row.whole("mistake_index")
        if wrong < -1:
            row.refuse("mistake_index", f"is {wrong}, and BIG-Bench-Mistake knows null and the steps from 0 on")
        record = {
            "id": f"{task or 'bigbench-mistake'}-{question_name(question)}",
            "group": question_name(question),
            "category": task,
            "question": question,
            "steps": row.texts("steps"),
            "protocol": _MISTAKE_TASKS[task] if task else None,
        }
        yield labelled(row, record, wrong)


_REASONEVAL_STEPS = "model_output_step_format"
"""A list of steps, each a list of lines."""


def _reasoneval(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.text("question")
        redundant = row.has("rating")
        lines = [row.texts(f"{_REASONEVAL_STEPS}.{index}") for index in range(len(row.items(_REASONEVAL_STEPS)))]
        wrong = _first_redundant(row, len(lines)) if redundant else _first_invalid(row)
        record = {
            "id": f"{'redundant' if redundant else 'invalid'}-{row.whole('id')}",
            "group": question_name(question),
            "category": "redundant" if redundant else "invalid",
            "system": row.text("generator"),
            "question": question,
            "steps": unnumbered(["\n".join(step) for step in lines]),
            "protocol": REDUNDANCY if redundant else None,
        }
        yield Skipped(row, CONTRADICTION) if wrong is None else labelled(row, record, wrong)


def _first_invalid(row: Row) -> int | None:
    right = row.choice("model_output_solution_correctness", {"correct": True, "wrong": False})
    return first_wrong(row, "model_output_solution_first_error_step", right=right)


def _first_redundant(row: Row, steps: int) -> int:
    ratings = [row.choice(f"rating.{index}", {1: True, 0: False}) for index in range(len(row.items("rating")))]
    if len(ratings) != steps:
        row.refuse("rating", f"rates {len(ratings)} steps of {steps}")
    return -1 if all(ratings) else ratings.index(False)


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="processbench",
        task="step",
        source="QwenLM/ProcessBench (Zheng et al. 2024)",
        licence="Apache-2.0 on its dataset page, none in the repository",
        files="gsm8k.json, math.json, olympiadbench.json, omnimath.json",
        gold="`label`: the first wrong step, -1 if there is none",
        index_base=0,
        records=_processbench,
    ),
    Importer(
        name="prmbench",
        task="step",
        source="ssmisya/PRMBench (Song et al. 2025)",
        licence="Apache-2.0",
        files="prm800k_*.jsonl or prmbench_*.jsonl",
        gold="the least of `error_steps` in `modified_process`, -1 if it is empty; and for every `redundency` row its "
        "`original_process` as a right one. In the classes redundency and circular the step is superfluous, not "
        "false: their records say in `protocol` that this counts",
        nulls="rows that name a step beyond the end are skipped",
        index_base=1,
        records=_prmbench,
    ),
    Importer(
        name="mr-gsm8k",
        task="step",
        source="dvlab-research/MR-GSM8K (Zeng et al. 2023)",
        licence="MIT",
        files="MR-GSM8K.json",
        gold="`model_output_solution_first_error_step`, by people",
        nulls="`N/A` is -1; a row where it contradicts `model_output_solution_correctness` is skipped",
        index_base=1,
        records=_mr_gsm8k,
    ),
    *mr_ben.IMPORTERS,
    Importer(
        name="bigbench-mistake",
        task="step",
        source="WHGTyen/BIG-Bench-Mistake (Tyen et al. 2023)",
        licence="Apache-2.0",
        files="dyck_languages, logical_deduction, multistep_arithmetic, tracking_shuffled_objects and "
        "word_sorting .jsonl; the category is the task in the file's name",
        gold="`mistake_index`, by people (in dyck_languages mostly by program)",
        nulls="null is -1",
        index_base=0,
        records=_bigbench_mistake,
    ),
    Importer(
        name="reasoneval",
        task="step",
        source="GAIR-NLP/ReasonEval (Xia et al. 2024)",
        licence="none in the repository",
        files="mr-math_invalid_errors.json, mr-math_redundant_errors.json; a row with `rating` is of the second",
        gold="invalid: `model_output_solution_first_error_step`; redundant: the first 0 in `rating`, with a `protocol` "
        "that says that a superfluous step counts",
        nulls="`N/A` and all ratings 1 are -1; a row where `N/A` contradicts `model_output_solution_correctness` is "
        "skipped",
        index_base=1,
        records=_reasoneval,
    ),
    *mathcheck.STEP_IMPORTERS,
    *agent_logs.IMPORTERS,
)
