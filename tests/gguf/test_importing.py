"""Taking model files in: whole, split, adapters; names, space, and processes that die in the middle."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fare_cli.errors import EnvironmentFault, FareError, InputError, ModelError, UsageError
from fare_cli.gguf.importing import Imported, import_model
from fare_cli.gguf.notes import ModelNotes, read_notes, write_notes
from fare_cli.gguf.store import installed_models, resolve_model
from fare_cli.gguf.verify import verify_model
from tests.engine import tiny_models
from tests.gguf.dying import die_everywhere
from tests.gguf.splitting import write_split


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_models.write_qwen3(tmp_path / "tiny.gguf")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_models.write_lora(tmp_path / "lora.gguf", "qwen3")


def _lying_there(home: Path) -> set[str]:
    """The names in the models folder, but for locks."""
    return {path.name for path in (home / "models").iterdir() if path.suffix != ".lock"}


def test_a_file_is_copied_with_its_checksum_in_the_notes(home: Path, model: Path) -> None:
    imported = import_model(model)
    assert imported == Imported("tiny", home / "models" / "tiny.gguf", True)
    assert imported.path.read_bytes() == model.read_bytes()
    assert _lying_there(home) == {"tiny.gguf", "tiny.json"}
    notes = read_notes(imported.path)
    assert (notes.source, notes.sha256) == ("import:tiny.gguf", resolve_model("tiny").sha256)
    assert verify_model("tiny").ok


def test_the_same_content_is_not_installed_twice(home: Path, model: Path) -> None:
    path = import_model(model).path
    before = path.stat().st_mtime_ns
    assert import_model(model) == Imported("tiny", path, False)
    copy = model.with_name("copy.gguf")
    copy.write_bytes(model.read_bytes())
    assert import_model(copy) == Imported("tiny", path, False), "whatever it is called"
    assert path.stat().st_mtime_ns == before
    assert import_model(copy, name="wanted").name == "wanted", "but a name that was asked for is given"
    assert list(installed_models()) == ["tiny", "wanted"]


def test_another_model_under_that_name_needs_another_name(home: Path, model: Path, tmp_path: Path) -> None:
    import_model(model)
    before = (home / "models" / "tiny.gguf").read_bytes()
    other = tiny_models.write_qwen3(tmp_path / "other.gguf", seed=1)
    with pytest.raises(UsageError, match="another model is installed as tiny") as caught:
        import_model(other, name="tiny")
    assert "--name" in str(caught.value.hint)
    assert (home / "models" / "tiny.gguf").read_bytes() == before
    assert _lying_there(home) == {"tiny.gguf", "tiny.json"}


def test_a_name_of_the_catalog_is_kept_for_what_the_catalog_means(home: Path, model: Path) -> None:
    with pytest.raises(UsageError, match="smollm2 that fare knows is another file"):
        import_model(model, name="smollm2")
    assert _lying_there(home) == set()


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "x.gguf", "a\nb", "a\\b", "x" * 300])
def test_names_that_no_file_should_have_are_refused(home: Path, model: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no model can be called"):
        import_model(model, name=name)
    assert not home.exists()


def test_a_split_model_is_taken_whole_by_any_part_and_can_be_renamed(home: Path, model: Path, tmp_path: Path) -> None:
    parts = write_split(model, tmp_path / "split", "big", 3)
    imported = import_model(parts[1], name="mine")
    assert imported.path.name == "mine-00001-of-00003.gguf"
    assert _lying_there(home) == {*(f"mine-0000{number}-of-00003.gguf" for number in (1, 2, 3)), "mine.json"}
    assert read_notes(imported.path).parts == ["mine-00002-of-00003.gguf", "mine-00003-of-00003.gguf"]
    assert verify_model("mine").ok
    assert resolve_model("mine").sha256 == resolve_model(parts[0]).sha256
    parts[2].unlink()
    with pytest.raises(ModelError, match=r"big-00003-of-00003\.gguf"):
        import_model(parts[0], name="again")


def test_what_is_no_model_is_refused_before_it_is_copied(home: Path, model: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cut off"):
        import_model(cut)
    with pytest.raises(InputError, match="No such file"):
        import_model(tmp_path / "nothing.gguf")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is no file"):
        import_model(pipe)
    assert not home.exists()


@pytest.mark.parametrize("kind", ["imatrix", "control"])
def test_other_kinds_of_gguf_are_no_judges(home: Path, tmp_path: Path, kind: str) -> None:
    path = tiny_models.write_lora(tmp_path / "odd.gguf")
    path.write_bytes(
        path.read_bytes().replace(b"\x07" + b"\0" * 7 + b"adapter", bytes([len(kind)]) + b"\0" * 7 + kind.encode())
    )
    with pytest.raises(ModelError, match=kind):
        import_model(path)


def test_moving_leaves_nothing_behind_and_copies_nothing(home: Path, model: Path, tmp_path: Path) -> None:
    parts = write_split(model, tmp_path / "split", "big", 3)
    inodes = [part.stat().st_ino for part in parts]
    first = import_model(parts[0], move=True).path
    assert not any(part.exists() for part in parts)
    assert [path.stat().st_ino for path in sorted(first.parent.glob("big-*"))] == inodes
    assert verify_model("big").ok


def test_what_is_installed_cannot_be_moved_from_under_its_name(home: Path, model: Path) -> None:
    path = import_model(model).path
    with pytest.raises(UsageError, match="among the installed models already"):
        import_model(path, name="other", move=True)
    assert path.exists()


def test_a_link_that_is_moved_leaves_what_it_points_to(home: Path, model: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(model)
    assert not import_model(link, move=True).path.is_symlink()
    assert model.exists()
    assert not link.is_symlink()


def test_an_adapter_stands_on_the_base_in_its_notes(home: Path, model: Path, adapter: Path) -> None:
    base = import_model(model)
    imported = import_model(adapter, base="tiny", name="my-judge")
    found = resolve_model("my-judge")
    assert (found.path, found.name, found.adapter) == (base.path, "my-judge", imported.path)
    assert found.sha256 == resolve_model("tiny").sha256
    assert found.installed_file == imported.path
    assert import_model(adapter, base="tiny") == imported._replace(new=False)
    base.path.unlink()
    with pytest.raises(ModelError, match="my-judge is an adapter for tiny, which is not installed"):
        resolve_model("my-judge")


def test_one_adapter_on_two_bases_is_two_judges(home: Path, model: Path, adapter: Path, tmp_path: Path) -> None:
    import_model(model)
    import_model(tiny_models.write_qwen3(tmp_path / "other.gguf", seed=1))
    import_model(adapter, base="tiny")
    with pytest.raises(UsageError, match="another model is installed as lora"):
        import_model(adapter, base="other")
    assert import_model(adapter, base="other", name="second").new
    assert resolve_model("second").path.name == "other.gguf"


def test_an_adapter_needs_a_base_that_fits(home: Path, model: Path, adapter: Path, tmp_path: Path) -> None:
    import_model(model)
    import_model(tiny_models.write_llama3(tmp_path / "llama.gguf"))
    with pytest.raises(UsageError, match="is an adapter") as caught:
        import_model(adapter)
    assert "--base" in str(caught.value.hint)
    with pytest.raises(ModelError, match="does not fit llama: it is for qwen3, and the model is llama"):
        import_model(adapter, base="llama")
    with pytest.raises(ModelError, match="no model is called tinny") as missing:
        import_model(adapter, base="tinny")
    assert "tiny" in str(missing.value.hint)
    with pytest.raises(UsageError, match="a file and no installed model"):
        import_model(adapter, base=str(model))
    with pytest.raises(UsageError, match="whole model"):
        import_model(tmp_path / "llama.gguf", base="tiny", name="x")
    import_model(adapter, base="tiny")
    with pytest.raises(ModelError, match="an adapter itself"):
        import_model(tiny_models.write_lora(tmp_path / "second.gguf", seed=1), base="lora")
    assert list(installed_models()) == ["llama", "lora", "tiny"]


def test_an_adapter_of_other_shapes_does_not_fit(home: Path, model: Path, tmp_path: Path) -> None:
    import_model(model)
    path = tiny_models.write_lora(tmp_path / "lora.gguf", "qwen3")
    content = path.read_bytes()
    for old, new, message in (
        (b"blk.1.attn_q.weight.lora_a", b"blk.7.attn_q.weight.lora_a", "no tensor blk.7.attn_q.weight"),
        (b"blk.1.attn_q.weight.lora_a", b"blk.1.attn_k.weight.lora_b", "has the shape"),
    ):
        path.write_bytes(content.replace(old, new))
        with pytest.raises(ModelError, match=message):
            import_model(path, base="tiny")


def test_an_adapter_put_there_by_hand_gets_its_base_by_importing_it(home: Path, model: Path, adapter: Path) -> None:
    import_model(model)
    by_hand = home / "models" / "hand.gguf"
    by_hand.write_bytes(adapter.read_bytes())
    assert resolve_model("hand").adapter is None
    assert not import_model(by_hand, base="tiny").new
    assert resolve_model("hand").adapter == by_hand


def test_too_small_a_disk_is_noticed_before_anything_is_read(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "huge.gguf"
    small = tiny_models.write_qwen3(tmp_path / "tiny.gguf").read_bytes()
    # The last tensor grows to eight terabytes; the file is a sparse one of that size.
    name = b"blk.1.attn_k_norm.weight"
    start = small.index(name) + len(name) + 4
    path.write_bytes(small[:start] + (1 << 41).to_bytes(8, "little") + small[start + 8 :])
    os.truncate(path, (1 << 43) + (1 << 20))
    with pytest.raises(EnvironmentFault, match="huge needs about") as caught:
        import_model(path)
    assert "FARE_HOME" in str(caught.value.hint)
    assert _lying_there(home) == set()


def test_a_folder_that_cannot_be_written_is_the_environments_fault(home: Path, model: Path) -> None:
    home.mkdir()
    (home / "models").write_text("a file where the folder should be")
    with pytest.raises(EnvironmentFault, match="cannot be installed"):
        import_model(model)


@pytest.mark.parametrize("move", [False, True])
def test_killed_at_any_moment_the_model_is_there_whole_or_not_at_all(
    home: Path, model: Path, tmp_path: Path, move: bool
) -> None:
    source = tmp_path / "split"
    parts = write_split(model, source, "big", 2)
    content = [part.read_bytes() for part in parts]
    whole = {"big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "big.json"}
    states = set()
    for _ in die_everywhere(lambda: import_model(parts[0], move=move), tmp_path):
        installed = "big" in installed_models()
        states.add(installed)
        if installed:
            assert verify_model("big").ok
        elif (home / "models").is_dir():
            assert all(part.exists() for part in parts), "what was not installed is still where it was"
            # The next attempt finds nothing in its way, and leaves nothing behind.
            for part, data in zip(parts, content, strict=True):
                part.write_bytes(data)
            assert import_model(parts[0]).new
        if installed_models():
            assert _lying_there(home) == whole
        for path in (home / "models").glob("*") if (home / "models").is_dir() else ():
            path.unlink()
        for part, data in zip(parts, content, strict=True):
            part.write_bytes(data)
    assert states == {True, False}


def test_two_at_once_do_not_disturb_each_other(home: Path, model: Path) -> None:
    results: list[Imported | FareError] = []

    def work() -> None:
        try:
            results.append(import_model(model))
        except FareError as error:
            results.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.new for result in results if isinstance(result, Imported)) == [False, False, False, True]
    assert verify_model("tiny").ok


def test_notes_left_by_somebody_else_do_not_become_the_models(home: Path, model: Path) -> None:
    (home / "models" / "tiny.prompts" / "step").mkdir(parents=True)
    write_notes(home / "models" / "tiny.gguf", ModelNotes(base="gone", decoding={"mode": "direct"}))
    import_model(model)
    assert _lying_there(home) == {"tiny.gguf", "tiny.json"}
    assert read_notes(home / "models" / "tiny.gguf").base is None
