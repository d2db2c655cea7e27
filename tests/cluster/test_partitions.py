"""Which files are partitions, and where their verdicts go."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.cluster.partitions import find_partitions
from fare_cli.errors import InputError, UsageError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_a_folder_gives_its_records_by_name_and_nothing_else() -> None:
    touch("in/b.jsonl", "in/a.jsonl.gz", "in/day=2/c.parquet", "in/day=1/c.ndjson", "in/d.json")
    touch("in/_SUCCESS", "in/.hidden.jsonl", "in/_temporary/e.jsonl", "in/README.md", "in/all.zip")
    assert find_partitions(["in"], Path("out")) == [
        ("in/a.jsonl.gz", "out/a.verdicts.jsonl"),
        ("in/b.jsonl", "out/b.verdicts.jsonl"),
        ("in/d.json", "out/d.verdicts.jsonl"),
        ("in/day=1/c.ndjson", "out/day=1/c.verdicts.jsonl"),
        ("in/day=2/c.parquet", "out/day=2/c.verdicts.jsonl"),
    ]


def test_verdicts_beside_their_partitions_are_not_judged_themselves() -> None:
    touch("in/a.jsonl")
    (first,) = find_partitions(["in"], None)
    assert first.output == "in/a.verdicts.jsonl"
    touch(first.output, first.output + ".journal.jsonl", first.output + ".manifest.json", first.output + ".partial")
    assert find_partitions(["in"], None) == [first]


def test_files_are_taken_as_they_are_named() -> None:
    touch("z/late.jsonl", "a/early", "c.jsonl")
    assert find_partitions(["z/late.jsonl", "a/early", "c.jsonl"], Path("out")) == [
        ("z/late.jsonl", "out/late.verdicts.jsonl"),
        ("a/early", "out/early.verdicts.jsonl"),
        ("c.jsonl", "out/c.verdicts.jsonl"),
    ]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (["a/p.jsonl", "b/p.jsonl"], "a/p.jsonl and b/p.jsonl would both be judged into out/p.verdicts.jsonl"),
        (["a", "a/p.jsonl"], "both be judged into"),
        (["a/p.jsonl", "-"], "stdin is no partition"),
    ],
)
def test_what_cannot_be_partitions_is_refused(inputs: list[str], words: str) -> None:
    touch("a/p.jsonl", "b/p.jsonl")
    with pytest.raises(UsageError, match=words):
        find_partitions(inputs, Path("out"))


def test_what_is_not_there_is_an_error_of_the_input() -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError, match="folder empty holds no partitions"):
        find_partitions(["empty"], None)
    with pytest.raises(InputError, match=r"missing\.jsonl does not exist"):
        find_partitions(["missing.jsonl"], None)
    with pytest.raises(InputError, match="no input was given"):
        find_partitions([], None)
