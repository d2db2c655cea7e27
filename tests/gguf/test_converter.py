"""Bringing llama.cpp's converter: only what is needed comes out of the source package, and nothing of it is run."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest

from fare_cli.errors import EnvironmentFault, ModelError, UsageError
from fare_cli.gguf.building.converter import Watch, find_converter, need_packages

_TOP = "llama_cpp_python-0.3.36"
_VENDOR = f"{_TOP}/vendor/llama.cpp"

# Says what it was started with, and fails if asked to.
_SCRIPT = b"""\
import json, os, sys
from pathlib import Path
from conversion import WORD
names = ("HF_HUB_OFFLINE", "HF_TOKEN", "NO_LOCAL_GGUF")
if "fail" in sys.argv[-1]:
    sys.exit("the model is not known\\n")
target = Path(sys.argv[sys.argv.index("--outfile") + 1])
target.write_text(json.dumps([WORD, *(os.environ.get(name) for name in names)]))
"""

_FILES = {
    f"{_TOP}/pyproject.toml": b'[build-system]\nrequires = ["scikit-build-core"]\n'
    b'build-backend = "scikit_build_core.build"\n[project]\nname = "llama_cpp_python"\ndynamic = ["version"]\n',
    f"{_TOP}/PKG-INFO": b"Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: 0.3.36\n",
    f"{_TOP}/setup.py": b"raise SystemExit('the package was run')\n",
    f"{_VENDOR}/convert_hf_to_gguf.py": _SCRIPT,
    f"{_VENDOR}/convert_lora_to_gguf.py": b"",
    f"{_VENDOR}/LICENSE": b"MIT",
    f"{_VENDOR}/conversion/__init__.py": b"WORD = 'own'\n",
    f"{_VENDOR}/gguf-py/gguf/__init__.py": b"",
    f"{_VENDOR}/gguf-py/pyproject.toml": b"",
    f"{_VENDOR}/src/llama.cpp": b"int main;",
    f"{_TOP}/other/llama.cpp/conversion/not_ours.py": b"",
    f"{_VENDOR}/conversion/table.bin": b"",
}

# pip refuses a package with these before it is seen here.
_TRAPS = {
    f"{_VENDOR}/conversion/../../../../escaped.py": b"",
    f"/{_VENDOR}/conversion/absolute.py": b"",
}


@pytest.fixture
def sdist(tmp_path: Path) -> Path:
    """A source package like the engine's."""
    path = tmp_path / "index" / f"{_TOP}.tar.gz"
    path.parent.mkdir()
    _write_package(path, _FILES)
    return path


def _write_package(path: Path, files: dict[str, bytes], link: str | None = None) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if link is not None:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _unpacked(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


_WANTED = [
    "LICENSE",
    "SHA256SUMS",
    "conversion/__init__.py",
    "convert_hf_to_gguf.py",
    "convert_lora_to_gguf.py",
    "gguf-py/gguf/__init__.py",
]


def test_only_the_converter_comes_out_of_the_package(home: Path, tmp_path: Path, sdist: Path) -> None:
    _write_package(sdist, {**_FILES, **_TRAPS}, link=f"{_VENDOR}/conversion/link.py")
    found = find_converter(file=sdist, sha256=_sha256(sdist))
    assert _unpacked(found.folder) == _WANTED
    assert home in found.folder.parents
    assert not list(tmp_path.rglob("escaped.py"))


def test_pip_brings_it_without_running_anything_of_it(home: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(sdist.parent))
    said: list[str] = []
    sha256 = _sha256(sdist)
    found = find_converter(sha256=sha256, say=said.append)
    assert _unpacked(found.folder) == _WANTED
    assert "llama-cpp-python==0.3.36" in said[0]

    sdist.unlink()
    said.clear()
    assert find_converter(sha256=sha256, say=said.append) == found, "the second time it is there"
    assert said == []


def test_a_package_with_another_checksum_is_refused_on_both_ways(
    home: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="is not the source package of llama-cpp-python") as caught:
        find_converter(file=sdist)
    assert "832db0699007" in str(caught.value.hint)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(sdist.parent))
    with pytest.raises(EnvironmentFault, match="downloading the source package of llama-cpp-python==0"):
        find_converter()
    assert not list(home.rglob("convert_hf_to_gguf.py"))


def test_a_cache_that_was_cleaned_in_part_or_changed_is_filled_again(home: Path, sdist: Path) -> None:
    found = find_converter(file=sdist, sha256=_sha256(sdist))
    (found.folder / "conversion" / "__init__.py").unlink()
    (found.folder / "convert_hf_to_gguf.py").write_text("import malice")
    again = find_converter(file=sdist, sha256=_sha256(sdist))
    assert _unpacked(again.folder) == _WANTED
    assert (again.folder / "convert_hf_to_gguf.py").read_bytes() == _SCRIPT


def test_a_file_that_is_no_package_is_refused(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "some.tar.gz"
    with pytest.raises(UsageError, match=r"some\.tar\.gz cannot be read"):
        find_converter(file=file)
    file.write_bytes(b"no archive")
    with pytest.raises(EnvironmentFault, match="cannot be unpacked"):
        find_converter(file=file, sha256=_sha256(file))


def test_it_runs_with_its_own_modules_and_without_the_network(
    home: Path, tmp_path: Path, sdist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("NO_LOCAL_GGUF", "1")
    (tmp_path / "conversion.py").write_text("WORD = 'of the working folder'")
    monkeypatch.chdir(tmp_path)
    converter = find_converter(file=sdist, sha256=_sha256(sdist))
    target = tmp_path / "out.gguf"
    converter.model(tmp_path, target, "f16", Watch(lambda *_: None))
    assert target.read_text() == '["own", "1", null, null]'


def test_its_last_words_are_the_error(home: Path, tmp_path: Path, sdist: Path) -> None:
    converter = find_converter(file=sdist, sha256=_sha256(sdist))
    with pytest.raises(ModelError, match="the converter failed: the model is not known"):
        converter.model(tmp_path / "fail", tmp_path / "out.gguf", "f16", Watch(lambda *_: None))


def test_missing_packages_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    need_packages()
    for name in ("torch", "sentencepiece"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EnvironmentFault, match="not installed: torch, sentencepiece") as caught:
        need_packages()
    assert caught.value.hint == "install them: pip install 'fare-cli[convert]'"
