"""Pairwise sets that publish better answers over worse ones: the sides are ours, by a hash."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from fare_cli.importers.importer import Importer, Made, Skipped
from fare_cli.importers.prometheus_prompt import prometheus_prompt
from fare_cli.importers.row import Row
from fare_cli.importers.sides import BY_HASH, Candidate, preference

_RM_BENCH_STYLES = ("concise", "detailed", "markdown")


def _rm_bench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question, name = row.text("prompt"), str(row.value("id"))
        category = row.text("domain" if row.has("domain") else "subset")
        chosen, rejected = row.texts("chosen"), row.texts("rejected")
        for path, answers in (("chosen", chosen), ("rejected", rejected)):
            if len(answers) != len(_RM_BENCH_STYLES):
                row.refuse(path, f"holds {len(answers)} answers, and RM-Bench has 3: {', '.join(_RM_BENCH_STYLES)}")
        for i, better in enumerate(chosen):
            for j, worse in enumerate(rejected):
                yield preference(
                    row,
                    question,
                    Candidate(better),
                    Candidate(worse),
                    id=f"{name}:{i}-{j}",
                    group=f"{category}/{name}",
                    category=category,
                    # RM-Bench's own names: hard where the worse answer has the fancier style.
                    difficulty="normal" if i == j else "easy" if i > j else "hard",
                    styles=[_RM_BENCH_STYLES[i], _RM_BENCH_STYLES[j]],
                )


def _rmb_candidate(row: Row, path: str) -> Candidate:
    return Candidate(row.text(f"{path}.answer"), row.text(f"{path}.llm_name"))


def _rmb_pairwise(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        better, worse = _rmb_candidate(row, "chosen"), _rmb_candidate(row, "reject")
        category = row.text("category_path").partition("/")[2]
        yield preference(
            row, row.items("conversation_input"), better, worse, id=row.text("pair_uid"), category=category
        )


def _rmb_best_of_n(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        question, name = row.items("conversation_input"), row.text("bon_uid")
        category = row.text("category_path").partition("/")[2]
        best = _rmb_candidate(row, "bon_best")
        for number in range(len(row.items("loser_list"))):
            worse = _rmb_candidate(row, f"loser_list.{number}")
            yield preference(
                row, question, best, worse, id=f"{name}:{number}", group=f"{category}/{name}", category=category
            )


_TURN = re.compile(r"\n\n(Human|Assistant): ?")
_ANSWERS = "\n\nAssistant:"


def _hh_rlhf(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        chosen, rejected = row.text("chosen"), row.text("rejected")
        cut = _last_shared_turn(chosen, rejected)
        if cut is None:
            row.refuse(
                "chosen", 'and `rejected` are no dialogues "\\n\\nHuman: ...\\n\\nAssistant: ..." of one beginning'
            )
        better, worse = (text[cut + len(_ANSWERS) :].strip() for text in (chosen, rejected))
        if not better or not worse:
            yield Skipped(row, "an answer is empty")
        elif better == worse:
            yield Skipped(row, "both answers are the same")
        else:
            yield preference(row, _messages(chosen[:cut]), Candidate(better), Candidate(worse))


def _last_shared_turn(chosen: str, rejected: str) -> int | None:
    """Where the last turn of the assistant starts up to which the two are the same. A few dialogues go on with turns of
    their own, which belong to the answer."""
    found, at = None, chosen.find(_ANSWERS) if chosen.startswith("\n\nHuman:") else -1
    while at >= 0 and rejected.startswith(chosen[: at + len(_ANSWERS)]):
        found, at = at, chosen.find(_ANSWERS, at + 1)
    return found


def _messages(dialogue: str) -> list[dict[str, str]]:
    _, *parts = _TURN.split(dialogue)
    roles = {"Human": "user", "Assistant": "assistant"}
    return [
        {"role": roles[speaker], "content": text.strip()} for speaker, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def _ifbench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        chosen, rejected = row.items("text_chosen"), row.items("text_rejected")
        if len(chosen) < 2 or chosen[:-1] != rejected[:-1]:
            row.refuse("text_rejected", "does not answer the same messages as `text_chosen`")
        better, worse = (row.text(f"{path}.{len(chosen) - 1}.content") for path in ("text_chosen", "text_rejected"))
        yield preference(
            row,
            chosen[:-1],
            Candidate(better),
            Candidate(worse),
            id=str(row.value("id")),
            category=row.text("domain"),
        )


def _hhh_alignment(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        better = prometheus_prompt(row, "chosen_instruction")
        worse = prometheus_prompt(row, "rejected_instruction")
        if better.instruction != worse.instruction:
            row.refuse("rejected_instruction", "asks something else than `chosen_instruction`")
        yield preference(
            row,
            better.instruction,
            Candidate(better.response),
            Candidate(worse.response),
            category=row.text("source"),
            protocol=better.criterion,
        )


def _reasoning_judge_bench(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        row.choice("label", {1: None})
        yield preference(
            row,
            row.text("instruction"),
            Candidate(row.text("positive_response")),
            Candidate(row.text("negative_response")),
            id=row.text("problem_id"),
            category=row.text("source_id"),
        )


WHEN2CALL_PROTOCOL = (
    "The assistant may call the tools in the document and nothing else. The better answer makes the right move: it "
    "calls a tool that fits where everything the tool requires is known, asks for what is missing where something is "
    "not, and says that it cannot help where no tool fits. An answer that pretends to know what only a tool could tell "
    "is wrong."
)
"""Ours: the instructions that FARE's authors gave for When2Call are not published."""


def _when2call(rows: Iterable[Row]) -> Iterator[Made | Skipped]:
    for row in rows:
        right = row.text("correct_answer")
        answers = row.object("answers")
        if right not in answers:
            row.refuse("correct_answer", f"is {right!r}, and `answers` has {', '.join(answers)}")
        tools = [tool if isinstance(tool, str) else json.dumps(tool, ensure_ascii=False) for tool in row.items("tools")]
        fields: dict[str, Any] = {
            "group": row.text("source_id"),
            "category": right,
            "context": "\n".join(["The tools of the assistant:", *tools]) if tools else "The assistant has no tools.",
            "protocol": WHEN2CALL_PROTOCOL,
        }
        better = Candidate(row.text(f"answers.{right}"))
        name = row.text("uuid")
        for wrong in answers:
            if wrong != right:
                worse = Candidate(row.text(f"answers.{wrong}"))
                yield preference(
                    row, row.text("question"), better, worse, id=f"{name}:{wrong}", against=wrong, **fields
                )


IMPORTERS: tuple[Importer, ...] = (
    Importer(
        name="rm-bench",
        task="pairwise",
        source="THU-KEG/RM-Bench (Liu et al. 2024)",
        licence="none in the repository",
        files="data/total_dataset.json, or one of data/*_filtered.json",
        gold="each of 3 `chosen` over each of 3 `rejected` (concise, detailed, markdown): 9 pairs a row",
        records=_rm_bench,
        sides=BY_HASH,
    ),
    Importer(
        name="rmb-pairwise",
        task="pairwise",
        source="Zhou-Zoey/RMB-Reward-Model-Benchmark (Zhou et al. 2024)",
        licence="none in the repository",
        files="RMB_dataset/Pairwise_set/**/*.json",
        gold="`chosen` over `reject`",
        records=_rmb_pairwise,
        sides=BY_HASH,
    ),
    Importer(
        name="rmb-bon",
        task="pairwise",
        source="Zhou-Zoey/RMB-Reward-Model-Benchmark (Zhou et al. 2024)",
        licence="none in the repository",
        files="RMB_dataset/BoN_set/**/*.json",
        gold="`bon_best` over every one of `loser_list`: a pair each, all of one group",
        records=_rmb_best_of_n,
        sides=BY_HASH,
    ),
    Importer(
        name="hh-rlhf",
        task="pairwise",
        source="anthropics/hh-rlhf (Bai et al. 2022)",
        licence="MIT",
        files="*/test.jsonl.gz, */train.jsonl.gz",
        gold="`chosen` over `rejected`: whole dialogues, cut at the last turn of the assistant that both share",
        records=_hh_rlhf,
        nulls="rows with an empty answer, or with the same answer twice, are skipped",
        sides=BY_HASH,
    ),
    Importer(
        name="ifbench",
        task="pairwise",
        source="THU-KEG/Agentic-Reward-Modeling (Peng et al. 2025)",
        licence="MIT",
        files="data/IFBench/data.converted.json",
        gold="`text_chosen` over `text_rejected`: messages that end with the answer",
        records=_ifbench,
        sides=BY_HASH,
    ),
    Importer(
        name="hhh-alignment",
        task="pairwise",
        source="prometheus-eval/prometheus-eval (Kim et al. 2024)",
        licence="Apache-2.0",
        files="eval/benchmark/data/hhh_alignment_eval.json",
        gold="`chosen_instruction` over `rejected_instruction`: prompts, cut at their headings; the criterion becomes "
        "`protocol`",
        records=_hhh_alignment,
        sides=BY_HASH,
    ),
    Importer(
        name="reasoningjudgebench",
        task="pairwise",
        source="Salesforce/ReasoningJudgeBench (Xu et al. 2025)",
        licence="CC-BY-NC-4.0",
        files="data/*_pairwise-*.parquet",
        gold="`positive_response` over `negative_response`; `label` is 1 throughout",
        records=_reasoning_judge_bench,
        sides=BY_HASH,
    ),
    Importer(
        name="when2call",
        task="pairwise",
        source="NVIDIA/When2Call (Ross et al. 2025)",
        licence="Apache-2.0",
        files="data/test/when2call_test_llm_judge.jsonl",
        gold="`correct_answer`: the answer of that name over each of the other three; the tools become `context`",
        records=_when2call,
        sides=BY_HASH,
    ),
)
