"""Pulling from the Hub and from addresses: the real client in a process of its own against a Hub on 127.0.0.1.

After every fault: what fare said and returned, and what lies on the disk. Then the fault is over, and the same command
must bring the model whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fare_cli.errors import UsageError
from fare_cli.gguf.fetch import pull
from fare_cli.gguf.fetch.hub import Repository
from fare_cli.gguf.fetch.licence import repository_terms
from fare_cli.gguf.fetch.reference import wanted
from fare_cli.gguf.model_prompts import find_prompt
from fare_cli.gguf.notes import card_file, read_notes
from tests.cli.conftest import ROOT
from tests.engine.tiny_models import write_qwen3
from tests.gguf.fake_hub import FakeHub, FakeRepository, Fault, fake_hub

REPOSITORY = "judges/tiny"
FILE = "tiny-F32.gguf"
REFERENCE = f"hf:{REPOSITORY}/{FILE}"
CARD = b"---\nlicense: apache-2.0\n---\n# Tiny\n"
CARDS = Path(__file__).parent / "cards"

# Faults that carry this are tried again at once.
AT_ONCE = {"Retry-After": "0"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model with random weights, 600 kB."""
    return write_qwen3(tmp_path_factory.mktemp("weights") / "tiny.gguf").read_bytes()


@pytest.fixture
def hub(weights: bytes) -> Iterator[FakeHub]:
    with fake_hub() as hub:
        hub.repositories[REPOSITORY] = FakeRepository(
            {FILE: weights, "README.md": CARD, "sub/other.gguf": weights[:50_000]}
        )
        yield hub


@dataclass
class Done:
    """What a fare that has ended said, and its exit code."""

    code: int
    out: str
    err: str


@dataclass
class Fare:
    """Runs `fare` as a user of the fake Hub does, with a home of its own."""

    home: Path
    hub: FakeHub
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str, **more: object) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        environment = {
            **clean,
            "PYTHONPATH": str(ROOT),
            "FARE_HOME": str(self.home),
            "HF_HOME": str(self.home / "hf"),
            "HF_ENDPOINT": self.hub.url,
            "NO_PROXY": "127.0.0.1",
            **self.environment,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "fare_cli", "models", *arguments],
            text=True,
            env=environment,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},  # type: ignore
        )

    def __call__(self, *arguments: str, **more: object) -> Done:
        process = self.start(*arguments, **more)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)

    @property
    def models(self) -> Path:
        return self.home / "models"

    def files(self) -> list[str]:
        """What lies in the models folder under a final name."""
        if not self.models.is_dir():
            return []
        return sorted(path.name for path in self.models.iterdir() if not path.name.startswith("."))

    def parts(self, of: str = ".tiny-F32.gguf.") -> list[Path]:
        """What has arrived of files that are not whole."""
        return [path for path in self.models.glob(".*.part") if path.name.startswith(of)]


@pytest.fixture
def fare(tmp_path: Path, hub: FakeHub) -> Fare:
    return Fare(tmp_path / "home", hub)


def _see_installed(fare: Fare, weights: bytes) -> None:
    """Asserts that the model is there whole, with notes and card, and nothing half-done beside it."""
    path = fare.models / FILE
    assert path.read_bytes() == weights
    notes = read_notes(path)
    assert (notes.sha256, notes.licence) == (hashlib.sha256(weights).hexdigest(), "apache-2.0")
    assert fare.files() == ["tiny-F32.card.md", FILE, "tiny-F32.json"]
    assert not list(fare.models.glob(".*part*"))


def test_a_file_of_the_hub_is_installed_with_its_card_and_notes(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    done = fare("pull", REFERENCE)
    path = fare.models / FILE
    assert (done.code, done.out) == (0, f"tiny-F32\t{path}\n")
    assert "licence: apache-2.0" in done.err
    _see_installed(fare, weights)
    assert read_notes(path).source == f"{REFERENCE}@{hub.repositories[REPOSITORY].commit}"
    assert card_file(path).read_bytes() == CARD
    resolved = {request.path.split("/")[4] for request in hub.requests if request.at == "resolve"}
    assert resolved == {hub.repositories[REPOSITORY].commit}, "all files are of one commit"


def test_prompts_in_the_card_are_shown_and_become_those_of_the_model(fare: Fare, hub: FakeHub) -> None:
    hub.repositories[REPOSITORY].files["README.md"] = (CARDS / "constants.md").read_bytes()
    done = fare("pull", REFERENCE)
    assert done.code == 0
    assert "Look for mistakes, and prefer the answer that is sound." in done.err
    found = find_prompt("pairwise", fare.models / FILE, None)
    assert found.prompt.texts["system.txt"].startswith("Please act as an impartial judge")
    assert REPOSITORY in found.prompt.origin


def test_a_card_that_cannot_be_read_changes_nothing_else(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.repositories[REPOSITORY].files["README.md"] = b"---\nlicense: apache-2.0\n---\n\xff\xfe"
    done = fare("pull", REFERENCE)
    assert (done.code, (fare.models / FILE).read_bytes()) == (0, weights)
    assert "none were taken from the card" in done.err


def test_a_second_pull_asks_but_brings_nothing(fare: Fare, hub: FakeHub) -> None:
    fare("pull", REFERENCE)
    hub.requests.clear()
    assert fare("pull", REFERENCE).code == 0
    assert not hub.bytes_of("cdn")
    pinned = f"{REFERENCE}@{hub.repositories[REPOSITORY].commit}"
    hub.requests.clear()
    assert fare("pull", pinned).code == 0
    assert not hub.requests, "a commit that is here needs no question"


def test_files_in_folders_revisions_and_names(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    repository = hub.repositories[REPOSITORY]
    repository.tags["v1"] = repository.commit
    done = fare("pull", f"hf:{REPOSITORY}/sub/other.gguf@v1", "--name", "mine")
    assert (done.code, fare.files()) == (0, ["mine.card.md", "mine.gguf", "mine.json"])
    assert read_notes(fare.models / "mine.gguf").source == f"hf:{REPOSITORY}/sub/other.gguf@{repository.commit}"


def test_a_newer_version_replaces_an_older_one_but_never_another_model(
    fare: Fare, hub: FakeHub, weights: bytes
) -> None:
    fare("pull", REFERENCE)
    hub.repositories[REPOSITORY].files[FILE] = weights[::-1]
    done = fare("pull", REFERENCE)
    assert (done.code, (fare.models / FILE).read_bytes()) == (5, weights), "backwards it is no GGUF file"
    hub.repositories[REPOSITORY].files[FILE] = newer = weights + bytes(100)
    assert fare("pull", REFERENCE).code == 0
    assert (fare.models / FILE).read_bytes() == newer

    done = fare("pull", f"hf:{REPOSITORY}/sub/other.gguf", "--name", "tiny-F32")
    assert done.code == 2
    assert "another model is installed as tiny-F32" in done.err
    assert (fare.models / FILE).read_bytes() == newer


def test_all_parts_of_a_split_model_come(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    parts = [weights[:300_000], b"GGUF" + weights[300_000:400_000], b"GGUF" + weights[400_000:]]  # cut by bytes
    names = [f"big-Q8-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    hub.repositories["judges/big"] = FakeRepository(dict(zip(names, parts, strict=True)))
    hub.faults = [Fault("cdn", times=1, cut_after=50_000)]
    done = fare("pull", f"hf:judges/big/{names[1]}")
    assert (done.code, done.out) == (0, f"big-Q8\t{fare.models / names[0]}\n"), done.err
    assert [(fare.models / name).read_bytes() for name in names] == parts
    assert read_notes(fare.models / names[0]).parts == names[1:]

    del hub.repositories["judges/big"].files[names[2]]
    done = fare("pull", f"hf:judges/big/{names[0]}", "--name", "other")
    assert (done.code, "other-00001-of-00003.gguf" in fare.files()) == (5, False)
    assert f"has no file {names[2]}" in done.err


def test_the_token_goes_to_the_hub_and_nowhere_else(fare: Fare, hub: FakeHub) -> None:
    fare.environment["HF_TOKEN"] = "hf_good"
    assert fare("pull", REFERENCE).code == 0
    tokens = {at: {request.token for request in hub.requests if request.at == at} for at in ("api", "resolve", "cdn")}
    assert tokens == {"api": {"Bearer hf_good"}, "resolve": {"Bearer hf_good"}, "cdn": {None}}
    agents = {request.headers["user-agent"] for request in hub.requests if request.at != "cdn"}
    assert all(agent.startswith("fare/") for agent in agents)
    assert not any("torch" in agent for agent in agents), "nothing is told about what else is installed"
    assert not [request for request in hub.requests if request.at == "elsewhere"]


def test_xet_is_used_only_when_asked_for_and_checked_like_the_rest(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.repositories[REPOSITORY].xet = True
    hub.faults = [Fault("xet", times=9, wrong_bytes=True)]
    done = fare("pull", REFERENCE, "--xet")
    assert (done.code, fare.files(), fare.parts()) == (5, [], [])
    assert "is not the file expected" in done.err
    hub.faults.clear()
    assert fare("pull", REFERENCE, "--xet").code == 0
    _see_installed(fare, weights)
    assert not hub.bytes_of("cdn")

    hub.requests.clear()
    assert fare("pull", REFERENCE, "--name", "again").code == 0
    assert hub.bytes_of("cdn")
    assert not hub.bytes_of("xet")


def test_xet_in_trouble_is_an_error(fare: Fare, hub: FakeHub) -> None:
    hub.repositories[REPOSITORY].xet = True
    hub.faults = [Fault("xet"), Fault("xet", times=99, status=404)]
    done = fare("pull", REFERENCE, "--xet")
    assert (done.code, fare.files(), list(fare.models.glob(".*xet*"))) == (5, [], [])
    assert "without --xet" in done.err


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_cut_connection_goes_on_from_where_it_was(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.faults = [Fault("cdn", cut_after=200_000), Fault("cdn", cut_after=100_000)]
    done = fare("pull", REFERENCE)
    assert done.code == 0, done.err
    assert "the connection broke" in done.err
    assert [request.range for request in hub.bytes_of("cdn")] == [None, "bytes=200000-", "bytes=300000-"]
    _see_installed(fare, weights)


def test_a_connection_that_falls_silent_is_given_up_and_taken_up_again(
    fare: Fare, hub: FakeHub, weights: bytes
) -> None:
    hub.faults = [Fault("cdn", stall_after=150_000)]
    fare.environment["HF_HUB_DOWNLOAD_TIMEOUT"] = "1"
    done = fare("pull", REFERENCE)
    assert (done.code, "nothing arrives any more" in done.err) == (0, True), done.err
    _see_installed(fare, weights)


def test_what_arrived_before_fare_gave_up_is_kept(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.faults = [Fault("cdn", cut_after=250_000), Fault("cdn", times=99, status=503, headers=AT_ONCE)]
    done = fare("pull", REFERENCE)
    assert (done.code, fare.files()) == (5, [])
    assert "503" in done.err
    assert "the same command goes on from there" in done.err
    (part,) = fare.parts()
    assert part.read_bytes() == weights[:250_000]

    hub.faults.clear()
    hub.requests.clear()
    assert fare("pull", REFERENCE).code == 0
    assert [request.range for request in hub.bytes_of("cdn")] == ["bytes=250000-"]
    _see_installed(fare, weights)


@pytest.mark.parametrize(
    ("at", "status"),
    [("GET api", 429), ("HEAD resolve", 503), ("GET resolve", 500), ("GET cdn", 429), ("GET cdn", 503)],
)
def test_a_server_in_trouble_is_asked_again(fare: Fare, hub: FakeHub, weights: bytes, at: str, status: int) -> None:
    hub.faults = [Fault(at, times=2, status=status, headers=AT_ONCE)]
    done = fare("pull", REFERENCE)
    assert (done.code, done.err.count(f"({status})")) == (0, 2), done.err
    _see_installed(fare, weights)


@pytest.mark.parametrize("at", ["GET api", "HEAD resolve"])
def test_a_server_that_stays_in_trouble_is_an_error(fare: Fare, hub: FakeHub, at: str) -> None:
    hub.faults = [Fault(at, times=99, status=502, headers=AT_ONCE)]
    done = fare("pull", REFERENCE)
    assert (done.code, fare.files()) == (5, [])
    assert "502), 7 times in a row" in done.err


def test_a_wait_that_is_asked_for_is_kept(fare: Fare, hub: FakeHub) -> None:
    hub.faults = [Fault("cdn", status=429, headers={"Retry-After": "1"})]
    done = fare("pull", REFERENCE)
    assert (done.code, "trying again in 1 s" in done.err) == (0, True)
    hub.faults = [Fault("api", status=429, headers={"Retry-After": "86400"})]
    done = fare("pull", REFERENCE)
    assert (done.code, "come back in 86400 s" in done.err) == (5, True)


def test_wrong_bytes_are_refused_and_never_built_upon(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.faults = [Fault("cdn", wrong_bytes=True)]
    done = fare("pull", REFERENCE)
    assert (done.code, fare.files(), fare.parts()) == (5, [], [])
    assert "is not the file expected" in done.err
    hub.requests.clear()
    assert fare("pull", REFERENCE).code == 0
    assert [request.range for request in hub.bytes_of("cdn")] == [None]
    _see_installed(fare, weights)


def test_a_size_that_does_not_fit_is_refused(fare: Fare, hub: FakeHub) -> None:
    hub.faults = [Fault("cdn", misstate_size=7)]
    done = fare("pull", REFERENCE)
    assert (done.code, fare.files(), fare.parts()) == (5, [], [])
    assert "were announced" in done.err


def test_a_part_of_another_file_is_not_taken_for_one_of_this(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.faults = [Fault("cdn", cut_after=100_000), Fault("cdn", times=99, status=500, headers=AT_ONCE)]
    assert fare("pull", REFERENCE).code == 5
    hub.faults.clear()
    hub.repositories[REPOSITORY].files[FILE] = newer = b"GGUF" + weights[::-1]
    hub.requests.clear()
    assert fare("pull", REFERENCE).code == 0
    assert [request.range for request in hub.bytes_of("cdn")] == [None]
    assert (fare.models / FILE).read_bytes() == newer
    assert fare.parts() == [], "and the other part is cleared away"


def test_a_server_that_ignores_ranges_starts_over(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.faults = [Fault("cdn", cut_after=100_000), Fault("cdn", ignore_range=True)]
    assert fare("pull", REFERENCE).code == 0
    _see_installed(fare, weights)


def test_a_damaged_part_on_the_disk_is_noticed(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.faults = [Fault("cdn", cut_after=100_000), Fault("cdn", times=99, status=500, headers=AT_ONCE)]
    fare("pull", REFERENCE)
    hub.faults.clear()
    (part,) = fare.parts()
    part.write_bytes(bytes(100_000))
    done = fare("pull", REFERENCE)
    assert (done.code, fare.files(), fare.parts()) == (5, [], [])
    assert fare("pull", REFERENCE).code == 0
    _see_installed(fare, weights)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_fare_that_was_stopped_goes_on_with_what_it_had(
    fare: Fare, hub: FakeHub, weights: bytes, number: int, code: int
) -> None:
    hub.pace_s = 0.05
    process = fare.start("pull", REFERENCE)
    _wait_for(lambda: any(path.stat().st_size > 100_000 for path in fare.parts()))
    process.send_signal(number)
    process.communicate(timeout=30)
    assert (process.returncode, fare.files()) == (code, [])
    (part,) = fare.parts()
    arrived = part.stat().st_size
    assert weights.startswith(part.read_bytes())

    hub.pace_s = 0
    hub.requests.clear()
    assert fare("pull", REFERENCE).code == 0
    assert [request.range for request in hub.bytes_of("cdn")] == [f"bytes={arrived}-"]
    _see_installed(fare, weights)


def test_two_at_once_download_once(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.pace_s = 0.03
    first = fare.start("pull", REFERENCE)
    _wait_for(lambda: bool(fare.parts()))
    second = fare.start("pull", REFERENCE)
    said = second.communicate(timeout=60)[1]
    assert (first.wait(60), second.returncode) == (0, 0)
    first.communicate()
    assert "another process is busy with tiny-F32; waiting for it" in said
    assert len(hub.bytes_of("cdn")) == 1
    _see_installed(fare, weights)


def test_a_full_disk_is_said_and_what_came_is_kept(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    def no_file_over_300_kb() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = fare("pull", REFERENCE, preexec_fn=no_file_over_300_kb)
    assert (done.code, fare.files()) == (5, [])
    assert "cannot be written" in done.err
    (part,) = fare.parts()
    assert part.read_bytes() == weights[: part.stat().st_size] != b""
    assert fare("pull", REFERENCE).code == 0
    _see_installed(fare, weights)


def test_a_disk_without_room_is_said_before_anything_comes(fare: Fare, hub: FakeHub) -> None:
    url = hub.blob_url(b"GGUF" + bytes(1000))
    hub.faults = [Fault("cdn", times=2, misstate_size=10**15)]
    done = fare("pull", url, "--name", "huge")
    assert (done.code, fare.files(), fare.parts(".huge")) == (5, [], [])
    assert "huge needs about 1000000.00 GB in" in done.err


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_named(fare: Fare, hub: FakeHub) -> None:
    done = fare("pull", f"hf:judges/tinny/{FILE}")
    assert (done.code, "there is no repository judges/tinny on the Hub, or it is private" in done.err) == (5, True)
    assert "HF_TOKEN" in done.err
    done = fare("pull", f"hf:{REPOSITORY}/tiny-F16.gguf")
    assert (done.code, f"has no file tiny-F16.gguf\nhint: it has {FILE}" in done.err) == (5, True)
    done = fare("pull", f"{REFERENCE}@v9")
    assert (done.code, "no such revision" in done.err) == (5, True)
    assert fare.files() == []


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (None, "no token is set"),
        ("hf_other", "the account of HF_TOKEN has not"),
        ("hf_bad", "account of HF_TOKEN may see"),
    ],
)
def test_a_gated_repository_says_what_to_do(fare: Fare, hub: FakeHub, token: str | None, says: str) -> None:
    hub.repositories[REPOSITORY].gated = True
    fare.environment |= {"HF_TOKEN": token} if token else {}
    done = fare("pull", REFERENCE, "--accept-license")
    assert (done.code, says in done.err) == (5, True), done.err
    assert f"{hub.url}/{REPOSITORY}" in done.err
    assert fare.files() == []


def test_a_gated_repository_opens_to_a_member(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.repositories[REPOSITORY].gated = True
    fare.environment["HF_TOKEN"] = "hf_good"
    assert fare("pull", REFERENCE).code == 2, "its terms must be accepted here, too"
    assert fare("pull", REFERENCE, "--accept-license").code == 0
    _see_installed(fare, weights)


def test_a_licence_that_restricts_must_be_accepted(fare: Fare, hub: FakeHub) -> None:
    hub.repositories[REPOSITORY].licence = "cc-by-nc-4.0"
    done = fare("pull", REFERENCE)
    assert (done.code, fare.files()) == (2, [])
    assert "restricts its use: cc-by-nc-4.0 (no commercial use)" in done.err
    assert f"fare models pull {REFERENCE} --accept-license" in done.err
    assert not hub.bytes_of("cdn"), "before the download"
    assert fare("pull", REFERENCE, "--accept-license").code == 0
    assert read_notes(fare.models / FILE).licence == "cc-by-nc-4.0"


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 2), ("", 2)])
def test_at_a_terminal_the_licence_is_asked_about(
    fare: Fare, hub: FakeHub, weights: bytes, answer: str, code: int
) -> None:
    hub.repositories[REPOSITORY].licence = "cc-by-nc-4.0"
    ours, theirs = pty.openpty()
    process = fare.start("pull", REFERENCE, stdin=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=60)
    said = b""
    while chunk := _read(ours):
        said += chunk
    os.close(ours)
    assert (process.returncode, bool(out), (fare.models / FILE).exists()) == (code, code == 0, code == 0), said
    assert b"no commercial use" in said
    assert b"Do you accept it? [y/N]" in said


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux says when the other side is closed
        return b""


@pytest.mark.parametrize(
    ("licence", "gated", "is_free"),
    [
        ("apache-2.0", False, True),
        ("MIT", False, True),
        ("apache-2.0", True, False),
        ("cc-by-nc-sa-4.0", False, False),
        ("llama3.1", False, False),
        ("other: house rules", False, False),
        (None, False, False),
    ],
)
def test_only_licences_known_to_be_free_need_no_acceptance(licence: str | None, gated: bool, is_free: bool) -> None:
    place = Repository("judges/tiny", "0" * 40, licence, gated, "https://hub/judges/tiny", (), {})
    assert (repository_terms(place).restricts is None) == is_free


@pytest.mark.parametrize(("licence", "is_free"), [(None, True), ("apache-2.0", True), ("cc-by-nc-4.0", False)])
def test_the_catalog_knows_a_licence_until_the_card_is_stricter(licence: str | None, is_free: bool) -> None:
    place = Repository("Qwen/Qwen3-8B-GGUF", "0" * 40, licence, False, "https://hub/Qwen/Qwen3-8B-GGUF", (), {})
    assert (repository_terms(place).restricts is None) == is_free
    fare_8b = replace(place, name="Salesforce/FARE-8B", licence=None)
    assert repository_terms(fare_8b).licence == "cc-by-nc-4.0"


def test_what_a_server_writes_cannot_steer_the_terminal(fare: Fare, hub: FakeHub) -> None:
    repository = hub.repositories[REPOSITORY]
    repository.files["\x1b[2Jtiny.gguf"], repository.licence = b"GGUF", "\x1b]0;owned\x07"
    for reference in (REFERENCE, f"hf:{REPOSITORY}/2Jtiny.gguf"):
        done = fare("pull", reference)
        assert (done.code in (2, 5), "\x1b" in done.err) == (True, False)


def test_offline_means_offline(fare: Fare, hub: FakeHub) -> None:
    fare.environment["HF_HUB_OFFLINE"] = "1"
    done = fare("pull", REFERENCE)
    assert (done.code, "HF_HUB_OFFLINE is set" in done.err) == (5, True)
    assert hub.requests == []


def test_a_checksum_that_is_asked_for_is_compared_before_the_download(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    done = fare("pull", REFERENCE, "--sha256", "0" * 64)
    assert (done.code, hub.bytes_of("cdn")) == (5, [])
    assert fare("pull", REFERENCE, "--sha256", "abc").code == 2
    assert fare("pull", REFERENCE, "--sha256", hashlib.sha256(weights).hexdigest()).code == 0


def test_a_server_that_is_no_hub_is_said(fare: Fare, hub: FakeHub) -> None:
    hub.faults = [Fault("api", status=200)]
    done = fare("pull", REFERENCE)
    assert (done.code, "does not answer like the Hub" in done.err) == (5, True)


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("hf:judges/tiny", "names no GGUF file"),
        ("hf:judges/tiny/model.safetensors", "names no GGUF file"),
        ("hf:judges/tiny/../x.gguf", "no path inside"),
        ("hf:judges/tiny/x-00004-of-00003.gguf", "part 00004 of 00003"),
        ("http://example.com/x.gguf", "is not encrypted"),
        ("fare-8b", "fare models build fare-8b"),
        ("smolm2", "did you mean smollm2?"),
    ],
)
def test_a_reference_that_means_nothing_is_a_usage_error(home: Path, reference: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        pull(reference)
    assert says in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "reference",
    [
        "hf:judges/tiny/sub/x.gguf@v1",
        "hf://judges/tiny/sub/x.gguf@v1",
        "https://huggingface.co/judges/tiny/resolve/v1/sub/x.gguf?download=true",
        "https://huggingface.co/judges/tiny/blob/v1/sub/x.gguf",
    ],
)
def test_a_file_on_the_hub_has_several_names(reference: str) -> None:
    assert wanted(reference) == ("x", ("judges/tiny", "v1", ("sub/x.gguf",)), None)


# --- addresses --------------------------------------------------------------------------------------------------------


def test_an_address_is_resumed_while_the_file_is_the_same(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    url = hub.blob_url(weights)
    hub.faults = [Fault("cdn"), Fault("cdn", cut_after=200_000), Fault("cdn", times=99, status=500, headers=AT_ONCE)]
    assert fare("pull", url).code == 5
    assert [path.read_bytes() for path in fare.parts(".model.gguf")] == [weights[:200_000]]
    hub.faults.clear()
    hub.requests.clear()
    done = fare("pull", url)
    assert (done.code, fare.files()) == (0, ["model.gguf", "model.json"]), done.err
    assert [request.range for request in hub.bytes_of("cdn")] == ["bytes=0-0", "bytes=200000-"]
    assert hub.bytes_of("cdn")[1].headers["if-range"].strip('"') == hashlib.md5(weights).hexdigest()
    assert (fare.models / "model.gguf").read_bytes() == weights
    assert read_notes(fare.models / "model.gguf").sha256 == hashlib.sha256(weights).hexdigest()
    assert "no checksum of it was known" in done.err
    hub.requests.clear()
    assert fare("pull", url).code == 0
    assert [request.range for request in hub.bytes_of("cdn")] == ["bytes=0-0"]


def test_an_address_with_a_checksum_is_held_to_it(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    url = hub.blob_url(weights)
    done = fare("pull", url, "--sha256", "0" * 64)
    assert (done.code, fare.files(), fare.parts(".model")) == (5, [], [])
    assert fare("pull", url, "--sha256", hashlib.sha256(weights).hexdigest()).code == 0


def test_an_address_that_gives_a_page_installs_nothing(fare: Fare, hub: FakeHub) -> None:
    done = fare("pull", hub.blob_url(b"<html>Please log in</html>"))
    assert (done.code, fare.files(), fare.parts(".model")) == (5, [], [])
    assert "no GGUF file" in done.err


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_address_that_is_refused_says_why(fare: Fare, hub: FakeHub, weights: bytes, status: int) -> None:
    hub.faults = [Fault("cdn", status=status)]
    done = fare("pull", hub.blob_url(weights))
    assert (done.code, f"({status})" in done.err) == (5, True)


def test_a_redirect_away_from_encryption_is_not_followed(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    hub.faults = [Fault("cdn", status=302, headers={"Location": "http://example.com/model.gguf"})]
    done = fare("pull", hub.blob_url(weights))
    assert (done.code, "http://example.com/model.gguf is not encrypted" in done.err) == (2, True)


# --- catalogs ---------------------------------------------------------------------------------------------------------


def test_a_catalog_of_one_s_own_is_pulled_by_name(fare: Fare, hub: FakeHub, weights: bytes) -> None:
    fare.home.mkdir()
    (fare.home / "catalog.toml").write_text(
        f"""
        [ours]
        about = "ours"
        licence = "house rules"
        restricts = "not on Sundays"
        unverified = true
        decoding = {{ max_tokens = 77 }}
        source = {{ kind = "hub", repository = "{REPOSITORY}", file = "{FILE}" }}
        """
    )
    assert [row["unverified"] for row in json.loads(fare("list", "--json").out) if row["name"] == "ours"] == [True]
    done = fare("pull", "ours")
    assert (done.code, "house rules (not on Sundays)" in done.err) == (2, True)
    assert fare("pull", "ours", "--accept-license").code == 0
    notes = read_notes(fare.models / "ours.gguf")
    assert (notes.licence, notes.decoding) == ("house rules", {"max_tokens": 77})
    assert notes.sha256 == hashlib.sha256(weights).hexdigest()
