"""Finding models by name and path, and remembering their checksums."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from fare_cli.errors import ModelError
from fare_cli.gguf.store import file_sha256, installed_models, models_folder, resolve_model


def _install(home: Path, name: str, content: bytes = b"GGUF") -> Path:
    path = home / "models" / f"{name}.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_nothing_is_installed_in_a_new_home(home: Path) -> None:
    assert installed_models() == {}
    assert not home.exists(), "looking leaves no trace"
    with pytest.raises(ModelError, match="no model is installed") as caught:
        resolve_model()
    assert "fare models pull smollm2" in str(caught.value.hint)


def test_the_only_model_needs_no_name(home: Path) -> None:
    path = _install(home, "one", b"content")
    assert resolve_model() == (path, "one", hashlib.sha256(b"content").hexdigest(), None)


def test_among_several_one_must_be_named(home: Path) -> None:
    _install(home, "one")
    two = _install(home, "two")
    with pytest.raises(ModelError, match="one, two"):
        resolve_model()
    assert resolve_model("two").path == two
    assert list(installed_models()) == ["one", "two"]


def test_half_written_files_and_other_files_are_no_models(home: Path) -> None:
    _install(home, "one")
    _install(home, ".hidden")
    (models_folder() / "notes.txt").write_text("x")
    (models_folder() / ".one.gguf.abc.part").write_text("x")
    (models_folder() / "folder.gguf").mkdir()
    assert list(installed_models()) == ["one"]


def test_a_path_is_taken_from_anywhere(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "judge.gguf"
    path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    for given in (str(path), path, "judge.gguf", "./judge.gguf", Path("judge.gguf")):
        found = resolve_model(given)
        assert (found.path, found.name) == (path, "judge")


def test_an_installed_name_beats_a_file_of_that_name_but_a_path_is_a_path(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = _install(home, "judge")
    (tmp_path / "judge").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert resolve_model("judge").path == installed
    assert resolve_model(Path("judge")).path == tmp_path / "judge"


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("smollm2", "smollm2 is not installed", "fare models pull smollm2"),
        ("smolm2", "no model is called smolm2", "did you mean smollm2"),
        ("quite-another", "no model is called quite-another", "fare models list"),
        ("away/judge.gguf", "no model file away/judge.gguf", None),
        ("judge.gguf", "no model file judge.gguf", None),
        (Path("judge"), "no model file judge", None),
        (".", "is a folder", "GGUF"),
        ("fare-8b", "fare-8b is not installed", "fare models build fare-8b"),
    ],
)
def test_what_is_not_there_is_said_with_a_way_out(
    home: Path, given: str | Path, message: str, hint: str | None
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        resolve_model(given)
    assert hint is None or hint in str(caught.value.hint)


def _digests(home: Path) -> Path:
    return home / "cache" / "digests.json"


def _plant(home: Path, path: Path, digest: str) -> None:
    """Replaces the remembered checksum, to see whether it is used."""
    content = json.loads(_digests(home).read_text())
    content[str(path)][2] = digest
    _digests(home).write_text(json.dumps(content))


def test_a_checksum_is_computed_once_and_again_when_size_or_time_changed(home: Path) -> None:
    path = _install(home, "one", b"first")
    assert file_sha256(path) == hashlib.sha256(b"first").hexdigest()
    _plant(home, path, "remembered")
    assert file_sha256(path) == "remembered"

    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert file_sha256(path) == hashlib.sha256(b"first").hexdigest()

    _plant(home, path, "remembered")
    status = path.stat()
    path.write_bytes(b"second")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file_sha256(path) == hashlib.sha256(b"second").hexdigest()


def test_only_the_owner_can_read_what_is_remembered(home: Path) -> None:
    file_sha256(_install(home, "one"))
    assert stat.S_IMODE(_digests(home).stat().st_mode) == 0o600
    assert [path.name for path in _digests(home).parent.iterdir()] == ["digests.json"]


@pytest.mark.parametrize("garbage", [b"", b"{", b"[]", b"\xff\xfe", b'{"PATH": 3}', b'{"PATH": [1]}', b"[" * 100_000])
def test_a_damaged_memory_of_checksums_is_replaced(home: Path, garbage: bytes) -> None:
    path = _install(home, "one", b"first")
    _digests(home).parent.mkdir(parents=True)
    _digests(home).write_bytes(garbage.replace(b"PATH", str(path).encode()))
    assert file_sha256(path) == hashlib.sha256(b"first").hexdigest()
    assert json.loads(_digests(home).read_text())[str(path)][2] == hashlib.sha256(b"first").hexdigest()


def test_without_a_place_to_remember_the_checksum_is_still_right(home: Path) -> None:
    path = _install(home, "one", b"first")
    (home / "cache").write_text("a file where the folder should be")
    assert file_sha256(path) == hashlib.sha256(b"first").hexdigest()
