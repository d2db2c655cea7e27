"""Files of a repository brought into a folder: all of one commit, checked, taken up again, once."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT
from tests.gguf.fake_hub import FakeHub, FakeRepository, Fault, fake_hub

WEIGHTS = {f"model-0000{number}-of-00002.safetensors": bytes([number]) * 200_000 for number in (1, 2)}
SMALL = {
    "config.json": b'{"model_type": "qwen3"}',
    "tokenizer.json": b"{}",
    "original/model.safetensors": bytes(50_000),
}

_PROGRAM = """
import sys
from pathlib import Path
from fare_cli.errors import FareError
from fare_cli.gguf.fetch import hub_snapshot
try:
    hub_snapshot("judges/base", patterns=["model*.safetensors", "*.json"], folder=Path(sys.argv[1]),
                 accept_licence="accept" in sys.argv, again="fare models build base --accept-license",
                 say=lambda line: print(line, file=sys.stderr))
except FareError as error:
    print(error.message, error.hint, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as hub:
        hub.repositories["judges/base"] = FakeRepository({**WEIGHTS, **SMALL, "README.md": b"# Base"})
        yield hub


def _snapshot(hub: FakeHub, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(folder), *more],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_what_matches_comes_and_a_record_of_it(hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    hub.faults = [Fault("cdn", cut_after=90_000), Fault("cdn", times=99, status=500, headers={"Retry-After": "0"})]
    assert _snapshot(hub, folder).returncode == 5
    assert not (folder / "fare-snapshot.json").exists(), "the record means complete"

    hub.faults.clear()
    hub.requests.clear()
    done = _snapshot(hub, folder)
    assert done.returncode == 0, done.stderr
    assert hub.bytes_of("cdn")[0].range == "bytes=90000-"
    files = {**WEIGHTS, "config.json": SMALL["config.json"], "tokenizer.json": SMALL["tokenizer.json"]}
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "fare-snapshot.json"} == files
    record = json.loads((folder / "fare-snapshot.json").read_text())
    assert (record["repository"], record["licence"]) == ("judges/base", "apache-2.0")
    assert record["revision"] == hub.repositories["judges/base"].commit
    assert {name: facts["sha256"] for name, facts in record["files"].items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }


def test_only_what_changed_is_brought_again(hub: FakeHub, tmp_path: Path) -> None:
    _snapshot(hub, tmp_path / "base")
    hub.requests.clear()
    hub.repositories["judges/base"].files["config.json"] = b'{"model_type": "qwen4"}'
    assert _snapshot(hub, tmp_path / "base").returncode == 0
    assert not hub.bytes_of("cdn")
    assert [request.path.rpartition("/")[2] for request in hub.bytes_of("resolve")] == ["config.json"]
    assert (tmp_path / "base" / "config.json").read_bytes() == b'{"model_type": "qwen4"}'


def test_a_licence_that_restricts_must_be_accepted(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["judges/base"].licence = "cc-by-nc-4.0"
    done = _snapshot(hub, tmp_path / "base")
    assert (done.returncode, (tmp_path / "base").exists()) == (2, False)
    assert "fare models build base --accept-license" in done.stderr
    assert _snapshot(hub, tmp_path / "base", "accept").returncode == 0


def test_no_file_leads_out_of_the_folder(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["judges/base"].files["../evil.json"] = b"{}"
    done = _snapshot(hub, tmp_path / "base")
    assert (done.returncode, "../evil.json" in done.stderr) == (5, True)
    assert not (tmp_path / "evil.json").exists()
