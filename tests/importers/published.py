"""What every importer makes of its fixture: the table that the tests hold the importers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FIXTURES = Path(__file__).with_name("fixtures")


@dataclass(frozen=True)
class Published:
    """`gold` counts labels as text, `skipped` rows by reason. `ties`, `nulls`: whether the set has them at all."""

    files: tuple[str, ...]
    rows: int
    gold: Mapping[str, int]
    skipped: Mapping[str, int] = field(default_factory=dict)
    index_base: int | None = None
    ties: bool = False
    nulls: bool = False

    @property
    def paths(self) -> list[str]:
        return [str(FIXTURES / name) for name in self.files]


PUBLISHED: dict[str, Published] = {
    "judgebench": Published(("judgebench.jsonl",), 3, {"A": 2, "B": 1}),
    "llmbar": Published(("llmbar.json",), 4, {"A": 3, "B": 1}),
    "pandalm": Published(("pandalm.json", "pandalm_ties.json"), 5, {"A": 1, "B": 2, "tie": 1, "none": 1}, ties=True),
    "auto-j": Published(("autoj.jsonl",), 3, {"A": 1, "B": 1, "tie": 1}, ties=True),
    "alpaca-eval": Published(
        ("alpaca_eval.json", "alpaca_eval_weighted.json"),
        6,
        {"B": 4, "tie": 1},
        {"the annotator gave no preference": 1},
        ties=True,
        nulls=True,
    ),
    "rm-bench": Published(("rm_bench.json",), 3, {"A": 17, "B": 10}),
    "rmb-pairwise": Published(("rmb_pairwise.json",), 3, {"A": 1, "B": 2}),
    "rmb-bon": Published(("rmb_bon.json",), 3, {"A": 2, "B": 5}),
    "hh-rlhf": Published(
        ("hh_rlhf.jsonl",),
        4,
        {"A": 1, "B": 1},
        {"an answer is empty": 1, "both answers are the same": 1},
        nulls=True,
    ),
    "ifbench": Published(("ifbench.json",), 3, {"A": 2, "B": 1}),
    "hhh-alignment": Published(("hhh_alignment.json",), 3, {"A": 3}),
    "reasoningjudgebench": Published(("reasoningjudgebench.jsonl",), 3, {"A": 1, "B": 2}),
    "when2call": Published(("when2call.jsonl",), 2, {"A": 3, "B": 3}),
    "verifybench": Published(("verify_bench_hard.jsonl",), 3, {"yes": 1, "no": 2}),
    "processbench": Published(("processbench.json",), 3, {"-1": 1, "0": 1, "1": 1}, index_base=0),
    "prmbench": Published(
        ("prmbench_test.jsonl", "prmbench_train.jsonl"),
        5,
        {"-1": 2, "2": 1, "4": 2},
        {"the wrong step is beyond the last one": 1},
        index_base=1,
        nulls=True,
    ),
    "mr-gsm8k": Published(("mr_gsm8k.json",), 3, {"0": 2, "1": 1}, index_base=1, nulls=True),
    "mr-ben": Published(
        ("mr_ben_math.json", "mr_ben_coding.json"),
        6,
        {"-1": 1, "10": 1, "2": 1, "21": 1, "4": 1},
        {"the wrong line is blank": 1},
        index_base=1,
        nulls=True,
    ),
    "bigbench-mistake": Published(
        (
            "bigbench_mistake_dyck_languages.jsonl",
            "bigbench_mistake_multistep_arithmetic.jsonl",
            "bigbench_mistake_word_sorting.jsonl",
        ),
        6,
        {"-1": 3, "2": 1, "4": 1, "7": 1},
        index_base=0,
        nulls=True,
    ),
    "reasoneval": Published(
        ("reasoneval_invalid.json", "reasoneval_redundant.json"), 4, {"-1": 2, "0": 1, "1": 1}, index_base=1, nulls=True
    ),
    "mathcheck-process": Published(
        ("mathcheck.json",),
        7,
        {"1": 2},
        {"a row of another MathCheck task": 4, "the wrong step's number is not in the solution, or more than once": 1},
        index_base=1,
        nulls=True,
    ),
    "who-and-when": Published(("who_and_when.jsonl",), 1, {"1": 1}, index_base=0),
    "agentprocessbench": Published(("agentprocessbench.jsonl",), 2, {"-1": 1, "2": 1}, index_base=0, nulls=True),
    "gsm8k-solutions": Published(("gsm8k_solutions.jsonl",), 2, {"no": 4, "yes": 4}),
    "gsm8k-solutions-reference": Published(("gsm8k_solutions.jsonl",), 2, {"no": 4, "yes": 4}),
    "evouna": Published(
        ("evouna_nq.json", "evouna_tq.json"),
        5,
        {"no": 4, "yes": 14},
        {"an answer that nobody has judged": 1, "an empty answer": 1, "a question that EVOUNA calls improper": 1},
        nulls=True,
    ),
    "nq301": Published(("nq301_human.tsv", "nq301_zeroshot.jsonl"), 15, {"no": 4, "yes": 8}, nulls=True),
    "truthfulqa": Published(
        ("truthfulqa.csv",), 3, {"no": 17, "yes": 15}, {"the answer is the reference itself": 3}, nulls=True
    ),
    "truthfulqa-judge": Published(
        ("truthfulqa_finetune_truth.jsonl",),
        8,
        {"no": 2, "yes": 1},
        {
            "the same answer with the same label again": 1,
            "the same answer is labelled both yes and no": 3,
            "an empty answer": 1,
        },
        nulls=True,
    ),
    "halueval-general": Published(("halueval_general.json",), 3, {"no": 2, "yes": 1}),
    "halueval-qa": Published(("halueval_qa.json",), 2, {"no": 2, "yes": 2}),
    "mathcheck-outcome": Published(("mathcheck.json",), 7, {"no": 1, "yes": 1}, {"a row of another MathCheck task": 5}),
    "judge-bench-labels": Published(
        ("judge_bench.json",),
        1,
        {"no": 5, "yes": 3},
        {"a metric without labels to choose from": 6},
        ties=True,
        nulls=True,
    ),
    "prometheus": Published(("prometheus_mt_bench_eval.json",), 2, {"1": 1, "4": 1}, nulls=True),
    "biggen": Published(
        ("biggen_bench_responses.json",),
        2,
        {"none": 1},
        {"the response is BiGGen-Bench's own placeholder": 1},
        nulls=True,
    ),
    "llm-rubric": Published(
        ("llm_rubric_real_data.json", "llm_rubric_human_judges.tsv"),
        5,
        {"1": 1, "2": 1},
        {"a conversation that nobody has scored": 1},
        nulls=True,
    ),
    "topical-chat": Published(
        ("topical_chat.json",),
        2,
        {"0.0": 1, "0.6666666667": 2, "1.0": 2, "2.3333333333": 2, "3.0": 3, "3.3333333333": 1, "4.6666666667": 1},
    ),
    "judge-bench": Published(
        ("judge_bench.json",),
        1,
        {"0.5": 1, "1.5": 1, "4.67": 1},
        {"a metric without whole-number grades": 6, "an instance that nobody has judged by the metric": 1},
        nulls=True,
    ),
    "openmeva": Published(("openmeva.json",), 1, {"1.0": 1, "4.2": 1}),
    "shepherd": Published(("shepherd_raw.jsonl",), 2, {"1": 1, "2": 1, "5": 1}, {"no score was given": 1}, nulls=True),
}
