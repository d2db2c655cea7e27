"""Lines come out of any kind of file, whole, numbered, and in bounded memory."""

from __future__ import annotations

import gzip
import io
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.errors import InputError
from fare_cli.run.lines import (
    InputDigest,
    ShuffledLines,
    check_inputs,
    count_lines,
    is_plain_file,
    read_lines,
    split_lines,
)


def lines_of(*files: Path, max_line_bytes: int = 1000) -> list[tuple[str, int, bytes | None]]:
    found = read_lines([str(file) for file in files], [], max_line_bytes=max_line_bytes)
    return [(Path(line.file).name, line.number, line.data) for line in found]


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(1, 20), min_size=1), st.integers(0, 30))
def test_any_bytes_in_any_chunks_split_as_at_once(data: bytes, sizes: list[int], limit: int) -> None:
    source = io.BytesIO(data)
    turn = iter(range(10**6))

    def read(_: int) -> bytes:
        return source.read(sizes[next(turn) % len(sizes)])

    pieces = list(split_lines(read, limit))
    expected = io.BytesIO(data).readlines()
    assert [piece.size for piece in pieces] == [len(line) for line in expected]
    assert [piece.ended for piece in pieces] == [line.endswith(b"\n") for line in expected]
    contents = [line.removesuffix(b"\n") for line in expected]
    assert [piece.data for piece in pieces] == [line if len(line) <= limit else None for line in contents]
    assert [data[piece.start : piece.start + piece.size] for piece in pieces] == expected


def test_files_are_read_in_order_and_numbered_each_on_its_own(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"1\n\n2\r\n3")
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbf4\n")
    assert lines_of(tmp_path / "b", tmp_path / "a") == [
        ("b", 1, b"1"),
        ("b", 2, b""),
        ("b", 3, b"2\r"),
        ("b", 4, b"3"),
        ("a", 1, b"4"),
    ]


def test_gzip_is_seen_by_its_bytes_whatever_the_name(tmp_path: Path) -> None:
    packed = tmp_path / "records.jsonl"
    packed.write_bytes(gzip.compress(b"\xef\xbb\xbfone\n") + gzip.compress(b"two\n"))
    assert lines_of(packed) == [("records.jsonl", 1, b"one"), ("records.jsonl", 2, b"two")]
    plain = tmp_path / "records.jsonl.gz"
    plain.write_bytes(b"one\n")
    assert lines_of(plain) == [("records.jsonl.gz", 1, b"one")]
    assert [is_plain_file(str(packed)), is_plain_file(str(plain))] == [False, True]


@pytest.mark.parametrize("damage", ["cut", "checksum"])
def test_damaged_gzip_gives_what_can_be_read_and_then_an_error(tmp_path: Path, damage: str) -> None:
    whole = bytearray(gzip.compress(os.urandom(400_000).hex().encode() + b"\n" + b"x\n" * 10))
    if damage == "checksum":
        whole[-6] ^= 0xFF
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(whole[:-9] if damage == "cut" else whole)
    digests: list[InputDigest] = []
    with pytest.raises(InputError, match="cut off" if damage == "cut" else "damaged") as caught:
        list(read_lines([str(packed)], digests))
    assert "in.jsonl.gz" in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.exit_code == 2


def test_a_line_of_100_mb_is_never_held_whole(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.write(b"first\n")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\nlast\n")
    tracemalloc.start()
    try:
        found = [(line.number, line.data, line.size) for line in read_lines([str(big)], [], max_line_bytes=1_000_000)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [(1, b"first", 6), (2, None, 100_000_001), (3, b"last", 5)]
    assert peak < 8_000_000


def test_unusable_inputs_say_what_to_do(tmp_path: Path) -> None:
    for name, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "missing.jsonl", "does not exist"),
        ("nul\0byte", "cannot open"),
    ):
        with pytest.raises(InputError, match=message):
            check_inputs([str(name)])
    with pytest.raises(InputError, match="no input"):
        check_inputs([])
    with pytest.raises(InputError, match="only once"):
        check_inputs(["-", "-"])


def test_no_permission_is_an_input_error(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o000)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may read everything, nobody may not
    try:
        with pytest.raises(InputError, match="permission denied"):
            check_inputs([str(secret)])
    finally:
        os.seteuid(me)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"\xff\xfe{\x00", "UTF-16"),
        (b"PAR1xxxx", "damaged Parquet"),
        (b"\x28\xb5\x2f\xfdxx", "zstd"),
        (b"GGUFxxxx", "GGUF"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, start: bytes, what: str) -> None:
    (tmp_path / "in").write_bytes(start)
    with pytest.raises(InputError, match=what):
        lines_of(tmp_path / "in")


class Drip(io.BytesIO):
    """Gives one byte at a time, as a slow pipe may."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(1)


@pytest.mark.parametrize("packed", [True, False])
def test_a_pipe_that_gives_a_byte_at_a_time_is_read_as_a_file_is(monkeypatch: pytest.MonkeyPatch, packed: bool) -> None:
    data = b"\xef\xbb\xbfone\ntwo\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Drip(gzip.compress(data) if packed else data)))
    assert [data for _, _, data in lines_of(Path("-"))] == [b"one", b"two"]


def test_looking_at_a_pipe_does_not_end_its_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_inputs([str(pipe)])
    writer = threading.Thread(target=pipe.write_bytes, args=(b"one\n",))
    writer.start()
    assert [data for _, _, data in lines_of(pipe)] == [b"one"]
    writer.join()


def test_the_digest_is_of_the_file_as_it_lies_there(tmp_path: Path) -> None:
    import hashlib

    packed = tmp_path / "in.gz"
    packed.write_bytes(gzip.compress(b"one\n" * 100_000))
    digests: list[InputDigest] = []
    list(read_lines([str(packed)], digests))
    assert digests[0].sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert digests[0].bytes == packed.stat().st_size
    plain = tmp_path / "in"
    plain.write_bytes(b"one\n" * 1_000_000)
    reading = read_lines([str(plain)], digests)
    next(reading)
    assert digests[1].sha256 is None


def test_counting_leaves_out_empty_lines_and_does_not_unpack(tmp_path: Path) -> None:
    plain = tmp_path / "in"
    plain.write_bytes(b"1\n\n2\n3")
    assert count_lines([str(plain), str(plain)]) == 6
    packed = tmp_path / "in.gz"
    packed.write_bytes(gzip.compress(b"1\n"))
    assert count_lines([str(plain), str(packed)]) is None


def test_a_shuffle_gives_every_line_once_with_its_own_number(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second.gz"
    first.write_bytes(b"\xef\xbb\xbf" + b"".join(b"a%d\n" % number for number in range(1, 51)))
    second.write_bytes(gzip.compress(b"\n".join(b"b%d" % number for number in range(1, 51))))

    def shuffled(seed: int) -> list[tuple[str, int, bytes | None]]:
        lines = ShuffledLines([str(first), str(second)], [], seed)
        found = [(Path(line.file).name, line.number, line.data) for line in lines]
        lines.close()
        return found

    one = shuffled(1)
    assert sorted(one) == sorted(lines_of(first, second))
    assert one == shuffled(1)
    assert one != shuffled(2) != sorted(one) != one
    half = [name for name, _, _ in one[:50]]
    assert 10 < half.count("first") < 40


def test_the_order_of_a_seed_is_fixed_for_all_time(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(b"\n".join(b"%d" % number for number in range(8)))
    assert [line.number - 1 for line in ShuffledLines([str(file)], [], 7)] == [6, 7, 4, 5, 1, 2, 0, 3]


def test_a_shuffle_keeps_long_lines_out(tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(b"short\n" + b"x" * 50 + b"\n" + b"y" * 10 + b"\n" + b"z" * 10)
    lines = {line.number: line.data for line in ShuffledLines([str(file)], [], 3, max_line_bytes=10)}
    assert lines == {1: b"short", 2: None, 3: b"y" * 10, 4: b"z" * 10}
