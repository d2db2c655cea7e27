"""Suites: their sets are importers, and their files are found where they are published."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fare_cli.errors import InputError, UsageError
from fare_cli.importers.convert import Conversion
from fare_cli.importers.registry import IMPORTERS
from fare_cli.importers.suites import FARE, SUITES, located, suite_named
from tests.importers.published import PUBLISHED

# As the owners publish them, in a folder for each set.
LAYOUT = {
    "JudgeBench": ["JudgeBench/data/dataset=judgebench,response_model=gpt-4o-2024-05-13.jsonl"],
    "ReasoningJudgeBench": [f"rjb/data/{part}_pairwise-00000-of-00001.parquet" for part in ("aime", "folio")],
    "RM-Bench": ["RM-Bench/data/total_dataset.json"],
    "When2Call": ["When2Call/data/test/when2call_test_llm_judge.jsonl"],
    "ProcessBench": [f"ProcessBench/{part}.json" for part in ("gsm8k", "math", "olympiadbench", "omnimath")],
    "VerifyBench-Hard": ["VerifyBench/verify_bench_hard.jsonl"],
}


def lay_out(folder: Path) -> None:
    for files in LAYOUT.values():
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()


def test_the_suite_has_the_six_sets_of_fares_table() -> None:
    assert [one.name for one in FARE.sets] == list(LAYOUT)
    assert {one.name: one.reported["FARE-20B"] for one in FARE.sets} == {
        "JudgeBench": 64.29,
        "ReasoningJudgeBench": 57.05,
        "RM-Bench": 90.5,
        "When2Call": 76.67,
        "ProcessBench": 84.4,
        "VerifyBench-Hard": 85.1,
    }


def test_every_set_of_every_suite_has_its_importer() -> None:
    for suite in SUITES.values():
        assert [one.made_by.name for one in suite.sets] == [one.importer for one in suite.sets]


def test_published_files_are_found_wherever_they_lie(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "JudgeBench/data/dataset=judgebench,response_model=claude-3-5-sonnet-20240620.jsonl").touch()
    (tmp_path / "VerifyBench/verify_bench.jsonl").touch()
    found = {one.set.name: [str(file.relative_to(tmp_path)) for file in one.files] for one in located(FARE, tmp_path)}
    assert found == LAYOUT


def test_a_missing_file_of_several_makes_the_set_missing(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "ProcessBench/omnimath.json").unlink()
    (tmp_path / "RM-Bench/data/total_dataset.json").unlink()
    missing = [one.set.name for one in located(FARE, tmp_path) if not one.files]
    assert missing == ["RM-Bench", "ProcessBench"]


def test_packed_files_are_found_and_converted(tmp_path: Path) -> None:
    file = tmp_path / "verify_bench_hard.jsonl.gz"
    file.write_bytes(gzip.compress(Path(PUBLISHED["verifybench"].paths[0]).read_bytes()))
    (one,) = [one for one in located(FARE, tmp_path) if one.files]
    assert one.files == (file,)
    assert len(list(Conversion(IMPORTERS[one.set.importer], [str(file)]).lines())) == 3


def test_no_folder_and_no_suite_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the data folder .* does not exist"):
        located(FARE, tmp_path / "none")
    with pytest.raises(UsageError) as error:
        suite_named("fair")
    assert error.value.hint == "did you mean fare?"
