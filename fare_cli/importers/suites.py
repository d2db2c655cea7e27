"""Benchmark suites: which sets they have, how each is scored, and where its files are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from fare_cli.errors import InputError, UsageError
from fare_cli.importers.importer import Importer
from fare_cli.importers.registry import IMPORTERS

Metric = Literal["both_orders_right", "accuracy", "process_f1"]
"""Headline figures: share of pairs with both orders right; share of records right; ProcessBench's harmonic mean of the
accuracy on wrong and on right solutions."""


@dataclass(frozen=True, slots=True)
class SuiteSet:
    """One data set of a suite. `patterns` are globs below a data folder, with or without `.gz`: the files as they are
    published, each pattern with at least one file. `protocol` says how it is scored, and what of that is ours;
    `reported` are published figures in percent by judge, and mean something only under the published protocol.
    """

    name: str
    importer: str
    metric: Metric
    protocol: str
    patterns: tuple[str, ...]
    source: str
    reported: Mapping[str, float]

    @property
    def made_by(self) -> Importer:
        return IMPORTERS[self.importer]


@dataclass(frozen=True, slots=True)
class Suite:
    """Data sets that are reported together."""

    name: str
    about: str
    sets: tuple[SuiteSet, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """A set and its files in a folder, sorted; none where they are missing."""

    set: SuiteSet
    files: tuple[Path, ...]


_JUDGES = ("FARE-8B", "FARE-20B", "gpt-oss-120b", "GPT-5")


def _reported(*figures: float) -> Mapping[str, float]:
    return MappingProxyType(dict(zip(_JUDGES, figures, strict=True)))


FARE = Suite(
    name="fare",
    about="The six sets of the table in FARE's paper (arXiv 2510.17793).",
    sets=(
        SuiteSet(
            name="JudgeBench",
            importer="judgebench",
            metric="both_orders_right",
            protocol="A pair counts as right only where both orders give the same, right answer: JudgeBench's rule, "
            "and FARE's. The 350 pairs of GPT-4o are taken, as is usual; FARE's choice of files is not published.",
            patterns=("**/dataset=judgebench,response_model=gpt-4o*.jsonl",),
            source="github.com/ScalerLab/JudgeBench, data/",
            reported=_reported(55.71, 64.29, 70.29, 84.86),
        ),
        SuiteSet(
            name="ReasoningJudgeBench",
            importer="reasoningjudgebench",
            metric="both_orders_right",
            protocol="A pair counts as right only where both orders give the same, right answer: the set's own rule, "
            "and FARE's. Over all 1,483 pairs.",
            patterns=("**/*_pairwise-*-of-*.parquet",),
            source="huggingface.co/datasets/Salesforce/ReasoningJudgeBench (CC-BY-NC-4.0)",
            reported=_reported(51.05, 57.05, 58.26, 79.57),
        ),
        SuiteSet(
            name="RM-Bench",
            importer="rm-bench",
            metric="accuracy",
            protocol="Ours, since FARE's for a judge of pairs is not published: each of the 9 pairs of a question is "
            "judged in both orders, and the accuracy over all pairs is reported; RM-Bench itself compares scores and "
            "averages over domains.",
            patterns=("**/total_dataset.json",),
            source="github.com/THU-KEG/RM-Bench, data/total_dataset.json",
            reported=_reported(79.2, 90.5, 92.0, 93.8),
        ),
        SuiteSet(
            name="When2Call",
            importer="when2call",
            metric="accuracy",
            protocol="Ours, since FARE's is not published: the right answer against each of the other three, in both "
            "orders, the tools as the document, with instructions of ours.",
            patterns=("**/when2call_test_llm_judge.jsonl",),
            source="github.com/NVIDIA/When2Call, data/test/when2call_test_llm_judge.jsonl",
            reported=_reported(80.33, 76.67, 70.00, 75.78),
        ),
        SuiteSet(
            name="ProcessBench",
            importer="processbench",
            metric="process_f1",
            protocol="F1: the harmonic mean of the accuracy on wrong solutions (the first wrong step is named) and on "
            "right ones (-1 is said), as ProcessBench and FARE have it. Over all records together; ProcessBench's own "
            "average is that of its four parts.",
            patterns=tuple(f"**/ProcessBench/{part}.json" for part in ("gsm8k", "math", "olympiadbench", "omnimath")),
            source="huggingface.co/datasets/Qwen/ProcessBench (gsm8k, math, olympiadbench, omnimath)",
            reported=_reported(63.5, 84.4, 83.5, 84.6),
        ),
        SuiteSet(
            name="VerifyBench-Hard",
            importer="verifybench",
            metric="accuracy",
            protocol="Accuracy with the reference answer, as in VerifyBench's own evaluation; FARE's prompt layout for "
            "verification is not published, so the prompt is ours.",
            patterns=("**/verify_bench_hard.jsonl",),
            source="huggingface.co/datasets/ZJU-REAL/VerifyBench, verify_bench_hard.jsonl",
            reported=_reported(78.4, 85.1, 88.3, 90.5),
        ),
    ),
)

SUITES: dict[str, Suite] = {suite.name: suite for suite in (FARE,)}


def suite_named(name: str) -> Suite:
    """The suite of that name; raises UsageError."""
    if name in SUITES:
        return SUITES[name]
    near = difflib.get_close_matches(name.casefold(), SUITES, n=1)
    raise UsageError(
        f"there is no suite {name!r}", f"did you mean {near[0]}?" if near else f"known: {', '.join(SUITES)}"
    )


def located(suite: Suite, folder: Path) -> tuple[Located, ...]:
    """Every set of the suite with its files below `folder`, in the suite's order. Raises InputError for no folder."""
    if not folder.is_dir():
        raise InputError(
            f"the data folder {folder} does not exist", f"create it, and put the files of {suite.name} there"
        )
    return tuple(Located(one, _found(one, folder)) for one in suite.sets)


def _found(one: SuiteSet, folder: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    for pattern in one.patterns:
        files = sorted({path for form in (pattern, f"{pattern}.gz") for path in folder.glob(form) if path.is_file()})
        if not files:
            return ()
        found += files
    return tuple(found)
