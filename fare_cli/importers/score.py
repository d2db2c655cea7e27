"""Importers of score sets: answers that people, or GPT-4, have graded by a rubric."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from statistics import median

from fare_cli.importers import conversations, judge_bench
from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.naming import question_name
from fare_cli.importers.prometheus_prompt import prometheus_prompt
from fare_cli.importers.row import Row

_NO_SCORE = "no score was given"


def _prometheus(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        prompt = prometheus_prompt(row, "instruction")
        name = row.whole("idx")
        system = row.text("response_source")
        given = [row.value(f"gpt4_score.{index}") for index in range(len(row.items("gpt4_score")))]
        scores = {
            f"gpt4-{index + 1}": None if score is None else row.whole(f"gpt4_score.{index}")
            for index, score in enumerate(given)
        }
        known = [score for score in scores.values() if score is not None]
        if not known:
            yield Skipped(row, _NO_SCORE)
            continue
        record = {
            "id": f"{name}-{system}",
            "group": str(name),
            "category": row.text("category"),
            "system": system,
            "question": prompt.instruction,
            "answer": prompt.response,
            "reference": prompt.reference,
            "rubric": prompt.rubric,
            "scale": [1, 5],
            "gold": median(known),
            "annotations": scores,
        }
        yield Made(row, record)


_PLACEHOLDER_MODEL = "sample-model"
_PLACEHOLDER_RESPONSE = "the response is BiGGen-Bench's own placeholder"


def _biggen(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        name = row.text("id")
        system = row.text("response_model_name")
        if system == _PLACEHOLDER_MODEL:
            yield Skipped(row, _PLACEHOLDER_RESPONSE)
            continue
        rubric = row.part("score_rubric")
        levels = [f"Score {score}: {rubric.text(f'score{score}_description')}" for score in range(1, 6)]
        record = {
            "id": f"{name}-{system}",
            "group": name,
            "category": row.text("capability"),
            "system": system,
            "question": [
                {"role": "system", "content": row.text("system_prompt")},
                {"role": "user", "content": row.text("input")},
            ],
            "answer": row.text("response"),
            "reference": row.text("reference_answer"),
            "rubric": "\n".join([f"[{rubric.text('criteria')}]", *levels]),
            "scale": [1, 5],
        }
        yield Made(row, record)


_STORY = "How good is the answer as the rest of the story that the question begins? Judge fluency, sense and interest."


def _openmeva(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        name = row.text("doc_id")
        stories = row.part("gen")
        for system in stories.values:
            story = stories.part(system)
            record = {
                "id": f"{name}-{system}",
                "group": name,
                "system": system,
                "question": row.text("prompt"),
                "answer": story.text("text"),
                "rubric": _STORY,
                "scale": [1, 5],
                "gold": story.number("score.human"),
            }
            yield Made(row, record)


_SHEPHERD = {
    "CLASSIFICATION_JOB": (
        "justified",
        "Does the answer meet the question in a well-justified manner? 1: incomprehensible and wrong. 2: not justified "
        "enough. 3: somewhat justified. 4: mostly well justified. 5: completely clear.",
    ),
    "CLASSIFICATION_JOB_1": (
        "relevant",
        "Is the answer right and to the point? 1: completely irrelevant. 2: not very relevant. 3: somewhat relevant. "
        "4: mostly relevant. 5: it answers the question.",
    ),
}
"""The graded two of Shepherd's four jobs, in our words, and what their records' category is."""


def _shepherd(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        jobs = row.part("latestLabel.jsonResponse")
        question = row.text("metadata.context")
        for job, (category, rubric) in _SHEPHERD.items():
            if not jobs.has(f"{job}.categories.0"):
                yield Skipped(row, _NO_SCORE)
                continue
            grade = re.match("([1-5])_", jobs.text(f"{job}.categories.0.name"))
            if grade is None:
                jobs.refuse(f"{job}.categories.0.name", "does not begin with a grade from 1 to 5")
            record = {
                "id": f"shepherd-{row.whole('id')}-{category}",
                "group": question_name(question),
                "category": category,
                "question": question,
                "answer": row.text("metadata.output_candidate").strip(),
                "reference": row.text("metadata.output_correct").strip() or None,
                "rubric": rubric,
                "scale": [1, 5],
                "gold": int(grade[1]),
                "dataset": row.text("dataset"),
            }
            yield Made(row, record)


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="prometheus",
        task="score",
        source="prometheus-eval/prometheus-eval (Kim et al. 2024)",
        licence="Apache-2.0",
        files="eval/benchmark/data: vicuna_eval.json, mt_bench_eval.json",
        gold="the median of GPT-4's scores in `gpt4_score`, which are the annotations",
        nulls="a score that is null is no annotation; a row without any is skipped",
        records=_prometheus,
    ),
    Importer(
        name="biggen",
        task="score",
        source="prometheus-eval/prometheus-eval, BiGGen-Bench (Kim et al. 2024)",
        licence="Apache-2.0",
        files="sample_responses.json with the responses of a model filled in",
        gold="none: records to be judged, each with its own rubric and reference answer",
        nulls="the published file holds placeholders (`sample-model`), which are skipped",
        records=_biggen,
    ),
    *conversations.IMPORTERS,
    *judge_bench.SCORE_IMPORTERS,
    Importer(
        name="openmeva",
        task="score",
        source="krystalan/chatgpt_as_nlg_evaluator (Wang et al. 2023), scores of Guan et al. 2021",
        licence="none in the repository",
        files="data/openmeva.json",
        gold="`gen.SYSTEM.score.human`, a mean over people from 1 to 5",
        records=_openmeva,
    ),
    Importer(
        name="shepherd",
        task="score",
        source="facebookresearch/Shepherd (Wang et al. 2023)",
        licence="CC-BY-NC-4.0",
        files="data/human_data_raw.jsonl (human_data_for_model.jsonl holds no grades)",
        gold="the number with which a label begins, 1 to 5, for two questions: justified and relevant",
        nulls="a question without a label is skipped",
        records=_shepherd,
    ),
)
