"""Bringing one file: whatever a server does, what is accepted is the file, and what is kept is the beginning of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare_cli.errors import EnvironmentFault, ModelError
from fare_cli.gguf.fetch.patience import Patience
from fare_cli.gguf.fetch.transfer import Remote, Way, part_file, transfer
from tests.gguf.fake_hub import FakeHub, Fault, fake_hub


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with fake_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as client:
        yield client


def _silent(*_what: object) -> None:
    pass


def _bring(remote: Remote, target: Path, client: httpx2.Client, *, tries: int = 3) -> str:
    def explain(remote: Remote, status: int) -> NoReturn:
        raise ModelError(f"{remote.name}: {status}")

    way = Way(client=lambda: client, headers={}, explain=explain)
    patience = Patience(remote.name, _silent, waits_s=[0.0] * tries)
    return transfer(remote, target, way, say=_silent, show=_silent, patience=patience)


_FAULTS = st.lists(
    st.one_of(
        st.builds(Fault, st.just("cdn"), cut_after=st.integers(0, 40_000)),
        st.builds(Fault, st.just("cdn"), cut_after=st.integers(0, 40_000), ignore_range=st.just(True)),
        st.builds(Fault, st.just("cdn"), status=st.sampled_from([429, 500, 503, 404]), headers=st.just({})),
        st.builds(Fault, st.just("cdn"), wrong_bytes=st.just(True)),
        st.builds(Fault, st.just("cdn"), misstate_size=st.sampled_from([-1, 1, 1000])),
    ),
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(min_size=1, max_size=200).map(lambda seed: seed * 150), faults=_FAULTS, stated=st.booleans())
def test_what_is_accepted_is_the_file_and_what_is_kept_is_its_beginning(
    hub: FakeHub, client: httpx2.Client, tmp_path: Path, content: bytes, faults: list[Fault], stated: bool
) -> None:
    digest = hashlib.sha256(content).hexdigest()
    target = tmp_path / "model.gguf"
    remote = Remote(hub.blob_url(content), "model.gguf", len(content) if stated else None, digest)
    part = part_file(target, remote)
    part.unlink(missing_ok=True)
    hub.faults = faults
    try:
        assert _bring(remote, target, client) == digest
        assert part.read_bytes() == content
    except ModelError:
        assert not part.exists() or content.startswith(part.read_bytes())
    except EnvironmentFault:
        kept = part.read_bytes()
        # A wrong byte at the very end is found when the file is whole, not before.
        assert content.startswith(kept) or len(kept) == len(content)
    assert not target.exists()

    hub.faults = []
    try:
        _bring(remote, target, client)
    except ModelError:
        _bring(remote, target, client)
    assert part.read_bytes() == content


def test_git_s_checksum_is_compared_without_another(hub: FakeHub, client: httpx2.Client, tmp_path: Path) -> None:
    content = b'{"architectures": []}'
    right = hashlib.sha1(b"blob 21\0" + content).hexdigest()
    target = tmp_path / "config.json"
    _bring(Remote(hub.blob_url(content), "config.json", 21, git_sha1=right), target, client)
    with pytest.raises(ModelError, match="git checksum"):
        _bring(Remote(hub.blob_url(content), "config.json", 21, git_sha1="0" * 40), target, client)


def test_a_file_that_changed_between_two_tries_starts_over(hub: FakeHub, client: httpx2.Client, tmp_path: Path) -> None:
    old, new = bytes(30_000), b"\1" * 30_000
    target = tmp_path / "model.gguf"
    # The address stays, the file behind it does not: the validator that was kept is the old file's.
    validator = '"the old one"'
    remote = Remote(hub.blob_url(new), "model.gguf", 30_000, validator=validator)
    part_file(target, remote).write_bytes(old[:10_000])
    _bring(remote, target, client)
    assert part_file(target, remote).read_bytes() == new


def test_a_rest_that_could_belong_to_another_file_is_not_asked_for(
    hub: FakeHub, client: httpx2.Client, tmp_path: Path
) -> None:
    content = b"\1" * 30_000
    target = tmp_path / "model.gguf"
    remote = Remote(hub.blob_url(content), "model.gguf", 30_000, resumable=False)
    part_file(target, remote).write_bytes(bytes(10_000))
    _bring(remote, target, client)
    assert part_file(target, remote).read_bytes() == content


def test_a_line_that_breaks_again_and_again_is_no_reason_to_give_up(
    hub: FakeHub, client: httpx2.Client, tmp_path: Path
) -> None:
    content = bytes(range(250)) * 80
    hub.faults = [Fault("cdn", cut_after=1_000) for _ in range(15)]
    remote = Remote(hub.blob_url(content), "model.gguf", len(content), hashlib.sha256(content).hexdigest())
    _bring(remote, tmp_path / "model.gguf", client, tries=1)
    assert part_file(tmp_path / "model.gguf", remote).read_bytes() == content


def test_no_server_is_an_error_in_words(client: httpx2.Client, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"there is no connection .*, 3 times in a row"):
        _bring(Remote("http://127.0.0.1:9/x", "x.gguf", 10, "0" * 64), tmp_path / "x.gguf", client, tries=2)
