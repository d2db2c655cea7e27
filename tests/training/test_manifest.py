"""Manifests of training: whether a piece of work is done is told by what lies there, not by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fare_cli.errors import InputError
from training.manifest import file_facts, plan, read_manifest


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """An input, and an output made from it with seed 1."""
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("a\n")
    output.write_text("b\n")
    plan("curate", [source], {"mix": [1, 2]}, 1).write_manifest([output], {"records": 1}, seconds=0.5)
    return source, output


def test_the_manifest_says_what_was_made_from_what(made: tuple[Path, Path]) -> None:
    source, output = made
    manifest = read_manifest(output)
    assert manifest is not None
    assert (manifest.verb, manifest.seed, manifest.counts) == ("curate", 1, {"records": 1})
    assert manifest.inputs == [file_facts(source)]
    assert manifest.outputs == [file_facts(output)]
    assert {"fare", "python"} <= set(manifest.versions)


def test_the_same_work_is_finished_wherever_its_input_lies(made: tuple[Path, Path]) -> None:
    source, output = made
    moved = source.rename(source.with_name("elsewhere.jsonl"))
    same = plan("curate", [moved], {"mix": [1, 2]}, 1)
    assert not same.begin(output)
    assert same.begin(output, force=True)


def test_other_work_under_the_same_name_is_refused_unless_forced(made: tuple[Path, Path]) -> None:
    source, output = made
    other = plan("curate", [source], {"mix": [1, 2]}, 2)
    with pytest.raises(InputError, match="made by something else"):
        other.begin(output)
    assert other.begin(output, force=True)


def test_a_changed_output_is_not_replaced_and_a_missing_one_is_made_again(made: tuple[Path, Path]) -> None:
    source, output = made
    same = plan("curate", [source], {"mix": [1, 2]}, 1)
    output.write_text("changed\n")
    with pytest.raises(InputError, match="was changed"):
        same.begin(output)
    output.unlink()
    assert same.begin(output)


def test_a_file_without_a_manifest_is_not_replaced(tmp_path: Path) -> None:
    output = tmp_path / "mine.jsonl"
    output.write_text("precious\n")
    with pytest.raises(InputError, match="by something else"):
        plan("inject", [], {}).begin(output)


def test_work_that_was_killed_before_its_manifest_goes_on(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    work = plan("inject", [], {"kind": 1})
    assert work.begin(output)
    output.write_text("whole, but its manifest was not written any more\n")
    assert work.begin(output)
    with pytest.raises(InputError):
        plan("inject", [], {"kind": 2}).begin(output)
    work.write_manifest([output], {}, seconds=1)
    assert not work.begin(output)
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "out.jsonl.manifest.json"}


def test_a_folder_is_one_input_and_all_of_it_counts(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "weights").write_bytes(b"1234")
    (folder / "config").write_bytes(b"5")
    before = file_facts(folder)
    assert before.bytes == 5
    (folder / "inner" / "weights").rename(folder / "weights")
    assert file_facts(folder).sha256 != before.sha256


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jsonl does not exist"):
        plan("curate", [tmp_path / "none.jsonl"], {})
