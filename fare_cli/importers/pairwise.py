"""Pairwise sets that publish two answers and a label: JudgeBench, LLMBar, PandaLM, Auto-J, AlpacaEval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.row import Row
from fare_cli.importers.sides import AS_PUBLISHED, BY_HASH, keeps_order

# JudgeBench's own table sums its sources up so (Tan et al. 2024, table 1).
_JUDGEBENCH_CATEGORIES = {
    "mmlu-pro": "knowledge",
    "livebench-reasoning": "reasoning",
    "livebench-math": "math",
    "livecodebench": "coding",
}


def _judgebench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        source = row.text("source")
        category = next((name for start, name in _JUDGEBENCH_CATEGORIES.items() if source.startswith(start)), source)
        record = {
            "id": row.text("pair_id"),
            "group": f"{source}/{row.value('original_id')}",
            "category": category,
            "system": row.text("response_model"),
            "question": row.text("question"),
            "answer_a": row.text("response_A"),
            "answer_b": row.text("response_B"),
            "gold": row.choice("label", {"A>B": "A", "B>A": "B"}),
            "source": source,
        }
        yield Made(row, record)


def _llmbar(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        record = {
            "category": _llmbar_subset(row.file),
            "question": row.text("input"),
            "answer_a": row.text("output_1"),
            "answer_b": row.text("output_2"),
            "gold": row.choice("label", {1: "A", 2: "B"}),
        }
        yield Made(row, record)


def _llmbar_subset(file: str) -> str | None:
    """`Adversarial/Neighbor` of `LLMBar/Adversarial/Neighbor/dataset.json`: only the folders say which subset it is."""
    parts = PurePath(file).parts[:-1]
    for top in ("Natural", "Adversarial"):
        if top in parts:
            return "/".join(parts[parts.index(top) :])
    return None


_PANDALM_LABELS = {0: "tie", 1: "A", 2: "B"}


def _pandalm(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        instruction, given = row.text("instruction"), row.text("input")
        annotations = {name: row.choice(name, _PANDALM_LABELS) for name in ("annotator1", "annotator2", "annotator3")}
        label, votes = Counter(annotations.values()).most_common(1)[0]
        systems = row.text("cmp_key").split("_")
        system_a, system_b = systems if len(systems) == 2 else (None, None)
        record = {
            "id": f"pandalm-{row.whole('idx')}",
            "category": row.text("motivation_app"),
            "system_a": system_a,
            "system_b": system_b,
            "question": f"{instruction}\n\n{given}" if given.strip() else instruction,
            "answer_a": row.text("response1"),
            "answer_b": row.text("response2"),
            "gold": label if votes > 1 else None,
            "annotations": annotations,
        }
        yield Made(row, record)


def _autoj(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        record = {
            "category": row.text("scenario"),
            "question": row.text("prompt"),
            "answer_a": row.text("response 1"),
            "answer_b": row.text("response 2"),
            "gold": row.choice("label", {0: "A", 1: "B", 2: "tie"}),
        }
        yield Made(row, record)


def _alpaca_eval(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question = row.text("instruction")
        answers = [(row.text(f"output_{side}"), row.text(f"generator_{side}")) for side in (1, 2)]
        annotator = row.text("annotator")
        if row.value("preference") is None:
            yield Skipped(row, "the annotator gave no preference")
            continue
        preference = row.number("preference")
        if preference != 0 and not 1 <= preference <= 2:
            row.refuse("preference", f"is {preference}, and AlpacaEval's are 0 and 1 to 2")
        kept = keeps_order(question, answers[0][0], answers[1][0])
        (answer_a, system_a), (answer_b, system_b) = answers if kept else reversed(answers)
        # 1 is output_1, 2 is output_2, between them is the probability of output_2, plus 1.
        better = "tie" if preference in (0, 1.5) else "A" if (preference < 1.5) == kept else "B"
        record = {
            "category": row.text("dataset"),
            "system_a": system_a,
            "system_b": system_b,
            "question": question,
            "answer_a": answer_a,
            "answer_b": answer_b,
            "gold": better,
            "annotator": annotator,
            "preference": preference,
            "output_1_is": "A" if kept else "B",
        }
        yield Made(row, record)


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="judgebench",
        task="pairwise",
        source="ScalerLab/JudgeBench (Tan et al. 2024)",
        licence="none in the repository",
        files="data/dataset=judgebench,response_model=*.jsonl",
        gold='`label`: "A>B" or "B>A"',
        records=_judgebench,
        sides=AS_PUBLISHED,
    ),
    Importer(
        name="llmbar",
        task="pairwise",
        source="princeton-nlp/LLMBar (Zeng et al. 2023)",
        licence="MIT",
        files="Dataset/LLMBar/**/dataset.json",
        gold="`label`: 1 or 2",
        records=_llmbar,
        sides=AS_PUBLISHED,
    ),
    Importer(
        name="pandalm",
        task="pairwise",
        source="WeOpenML/PandaLM (Wang et al. 2023)",
        licence="Apache-2.0",
        files="data/testset-v1.json",
        gold="the label that two of `annotator1`, `annotator2`, `annotator3` share; all three are annotations",
        records=_pandalm,
        ties="0 is a tie; three different labels leave the record without gold",
        sides=AS_PUBLISHED,
    ),
    Importer(
        name="auto-j",
        task="pairwise",
        source="GAIR-NLP/auto-j (Li et al. 2023)",
        licence="none in the repository",
        files="data/test/testdata_pairwise.jsonl",
        gold="`label`: 0 the first, 1 the second",
        records=_autoj,
        ties="2 is a tie",
        sides=AS_PUBLISHED,
    ),
    Importer(
        name="alpaca-eval",
        task="pairwise",
        source="tatsu-lab/alpaca_eval (Li et al. 2023)",
        licence="Apache-2.0",
        files="results/*/*alpaca_eval*/annotations.json",
        gold="`preference` of a model (GPT-4), not of people: below 1.5 `output_1`, above it `output_2`; it is kept",
        records=_alpaca_eval,
        ties="0 and 1.5 are ties",
        nulls="a null preference is skipped: the annotator failed",
        sides=BY_HASH,
    ),
)
