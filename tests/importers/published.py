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
}
