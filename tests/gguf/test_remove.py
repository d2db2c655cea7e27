"""Removing models: all of one, nothing of another, and never anything outside the models folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.importing import import_model
from fare_cli.gguf.install import only_one_at
from fare_cli.gguf.notes import card_file, notes_file, prompts_folder, read_notes
from fare_cli.gguf.remove import check_removal, remove_model
from fare_cli.gguf.store import ModelFile, file_sha256, installed_models
from fare_cli.gguf.verify import verify_model
from tests.engine import tiny_models
from tests.gguf.dying import die_everywhere
from tests.gguf.splitting import write_split


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_models.write_qwen3(tmp_path / "tiny.gguf")


def _dress(path: Path) -> None:
    """Gives a model everything that may lie beside it."""
    prompts_folder(path).joinpath("step").mkdir(parents=True)
    prompts_folder(path).joinpath("step", "user.txt").write_text("x")
    card_file(path).write_text("card")


def _visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_everything_of_it_goes_and_nothing_of_others(home: Path, model: Path, tmp_path: Path) -> None:
    parts = write_split(model, tmp_path / "split", "big", 3)
    for name in ("big", "big-2", "bigger"):
        _dress(import_model(parts[0], name=name).path)
    (home / "models" / "big.txt").write_text("mine")
    before = _visible(home / "models")
    remove_model("big")
    gone = {"big.json", "big.prompts", "big.card.md", *(f"big-0000{n}-of-00003.gguf" for n in (1, 2, 3))}
    assert _visible(home / "models") == [name for name in before if name not in gone]
    assert verify_model("big-2").ok
    assert verify_model("bigger").ok


def test_links_go_and_what_they_point_to_stays(home: Path, model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "prompts"
    outside.joinpath("step").mkdir(parents=True)
    (home / "models").mkdir(parents=True)
    (home / "models" / "linked.gguf").symlink_to(model)
    (home / "models" / "linked.prompts").symlink_to(outside)
    remove_model("linked")
    assert _visible(home / "models") == []
    assert model.exists()
    assert outside.joinpath("step").is_dir()


@pytest.mark.parametrize("parts", ['["../outside.gguf"]', '["/etc/passwd"]', '[".."]'])
def test_what_notes_say_removes_nothing_elsewhere(home: Path, model: Path, parts: str) -> None:
    path = import_model(model).path
    outside = home / "outside.gguf"
    outside.write_text("mine")
    notes_file(path).write_text(f'{{"parts": {parts}}}')
    remove_model("tiny")
    assert outside.exists()
    assert _visible(home / "models") == []


@pytest.mark.parametrize("name", ["../tiny", "/tiny", "tiny.gguf", ".", "", "other"])
def test_only_names_of_installed_models_are_taken(home: Path, model: Path, name: str) -> None:
    import_model(model)
    with pytest.raises(ModelError, match="no model is installed as"):
        check_removal([name])
    with pytest.raises(ModelError, match="no model is installed as"):
        remove_model(name)
    assert list(installed_models()) == ["tiny"]


def test_a_base_stays_while_an_adapter_stands_on_it(home: Path, model: Path, tmp_path: Path) -> None:
    import_model(model)
    import_model(tiny_models.write_lora(tmp_path / "lora.gguf"), base="tiny")
    with pytest.raises(UsageError, match="the adapter lora stands on tiny") as caught:
        check_removal(["tiny"])
    assert "--force" in str(caught.value.hint)
    assert list(check_removal(["tiny"], force=True)) == ["tiny"]
    assert list(check_removal(["tiny", "lora"])) == ["tiny", "lora"]
    remove_model("lora")
    assert list(check_removal(["tiny"])) == ["tiny"]


def test_killed_at_any_moment_what_is_left_judges_nothing_and_is_gone_with_the_next_import(
    home: Path, model: Path, tmp_path: Path
) -> None:
    parts = write_split(model, tmp_path / "split", "big", 2)
    _dress(import_model(parts[0]).path)
    for _ in die_everywhere(lambda: remove_model("big"), home / "models"):
        if "big" in installed_models():
            assert verify_model("big").ok
            remove_model("big")
            assert _visible(home / "models") == []
        first = import_model(parts[0]).path
        assert _visible(home / "models") == ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "big.json"]
        assert read_notes(first).source is not None
        _dress(first)
    assert _visible(home / "models") == []


def test_downloads_cut_short_go_too(home: Path, model: Path) -> None:
    """Also where nothing else of the model is here, and never those of a model whose name begins alike."""
    folder = import_model(model, name="big").path.parent
    own = [
        ".big.gguf.0123456789abcdef.part",
        ".big-00002-of-00003.gguf.0123456789abcdef.part",
        ".big.card.md.0123456789abcdef.part",
        ".big.gguf.part",
    ]
    others = [".big.2.gguf.0123456789abcdef.part", ".bigger.gguf.0123456789abcdef.part"]
    for name in (*own, *others):
        (folder / name).write_bytes(b"GGUF")
    (folder / ".big.gguf.xet-abc").mkdir()
    assert {path.name for path in check_removal(["big"])["big"]} >= {"big.gguf", *own}
    remove_model("big")
    remove_model("big.2")
    left = {path.name for path in folder.iterdir() if path.suffix != ".lock"}
    assert left == {".bigger.gguf.0123456789abcdef.part"}
    with pytest.raises(ModelError, match="no model is installed as big"):
        check_removal(["big"])


def test_a_model_is_not_made_while_another_process_has_its_name(home: Path, model: Path) -> None:
    """Pull, import, build, quantise and remove take the same lock."""
    said: list[str] = []
    source = ModelFile(model, "tiny", file_sha256(model))
    with only_one_at("tiny-q8_0", said.append):
        program = (
            "from pathlib import Path; import sys\n"
            "from fare_cli.gguf.variant import make_variant\n"
            "from fare_cli.gguf.store import ModelFile, models_folder\n"
            "source = ModelFile(Path(sys.argv[1]), 'tiny', sys.argv[2])\n"
            "make_variant(source, models_folder() / 'tiny-q8_0.gguf', 'Q8_0', say=lambda line: print(line, flush=True))"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", program, str(source.path), source.sha256], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "another process is busy with tiny-q8_0; waiting for it\n"
        assert "tiny-q8_0" not in installed_models()
    child.communicate(timeout=60)
    assert (child.returncode, said) == (0, [])
    assert "tiny-q8_0" in installed_models()
