"""Lines out of input files in bounded memory: plain, gzip, Parquet or stdin, one after the other or shuffled."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import stat
import sys
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias, cast

from fare_cli.errors import InputError
from fare_cli.run.files import disk_fault
from fare_cli.run.ids import CompactTable
from fare_cli.run.parquet import ParquetLines

MAX_LINE_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
GZIP_MAGIC = b"\x1f\x8b"
UTF8_BOM = b"\xef\xbb\xbf"
PARQUET_MAGIC = b"PAR1"
_FOREIGN_STARTS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"GGUF": "a GGUF model",
}


class Clusters(NamedTuple):
    """How many records that are not independent of each other come together: all records, clusters of them, and the
    records in the largest."""

    records: int
    clusters: int
    largest: int


class InCluster(NamedTuple):
    """Whether the next line is of another cluster, and what is known of all of them."""

    ends: bool
    of: Clusters


class RawLine(NamedTuple):
    """One physical line. `data` has no line end; None where the line is over the limit. `number` counts from 1.

    `cluster` is there where lines come by clusters.
    """

    file: str
    number: int
    data: bytes | None
    size: int
    cluster: InCluster | None = None


Unpacked: TypeAlias = "io.BufferedReader[Any] | gzip.GzipFile"


class InputDigest:
    """Size and sha256 of one input file, as far as it was read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.bytes = 0
        self.complete = False
        self._sha256 = hashlib.sha256()

    def update(self, data: bytes) -> None:
        self.bytes += len(data)
        self._sha256.update(data)

    @property
    def sha256(self) -> str | None:
        """Hex digest of the whole file; None where reading stopped before its end."""
        return self._sha256.hexdigest() if self.complete else None


class _Hashed(io.RawIOBase):
    """Passes bytes through and hashes them on the way."""

    def __init__(self, file: IO[bytes], digest: InputDigest) -> None:
        super().__init__()
        # read1 gives what a pipe has now; read would wait until the whole buffer is full.
        self._read1: Callable[[int], bytes] = getattr(file, "read1", file.read)
        self._digest = digest
        self._ahead = b""

    def readable(self) -> bool:
        return True

    def start(self, count: int) -> bytes:
        """The first bytes, which stay to be read: a pipe may give fewer at once than a magic number has."""
        while len(self._ahead) < count and (data := self._read(count)):
            self._ahead += data
        return self._ahead[:count]

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        data = self._ahead[: len(view)] or self._read(len(view))
        self._ahead = self._ahead[len(view) :]
        view[: len(data)] = data
        return len(data)

    def _read(self, count: int) -> bytes:
        data = self._read1(count)
        self._digest.update(data)
        self._digest.complete = not data
        return data


def check_inputs(inputs: Sequence[str]) -> None:
    """Raises InputError where an input is missing, a directory, not readable, or stdin is named twice."""
    if not inputs:
        raise InputError("no input was given", "name one or more files, JSONL or Parquet, or - for stdin")
    if sum(name == "-" for name in inputs) > 1:
        raise InputError("stdin (-) can be an input only once")
    for name in inputs:
        # Opening a named pipe and closing it again would end whoever writes into it.
        if not is_pipe(name):
            _open_raw(name).close()


def is_pipe(name: str) -> bool:
    """Whether `name` is stdin, a pipe or a device: it can be read once, and may never end."""
    if name == "-":
        return True
    with contextlib.suppress(OSError, ValueError):
        mode = Path(name).stat().st_mode
        return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    return False


def is_plain_file(name: str) -> bool:
    """Whether `name` is a regular file, neither gzip nor Parquet: its lines can be counted, and found again by
    offset."""
    if is_pipe(name):
        return False
    with Path(name).open("rb") as file:
        return not file.read(len(PARQUET_MAGIC)).startswith((GZIP_MAGIC, PARQUET_MAGIC))


def count_lines(inputs: Sequence[str]) -> int | None:
    """About how many records the inputs hold (empty lines are guessed away); None where that needs unpacking."""
    if not all(is_plain_file(name) for name in inputs):
        return None
    total = 0
    for name in inputs:
        last = b"\n"
        with Path(name).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                total += chunk.count(b"\n") - chunk.count(b"\n\n")
                last = chunk[-1:]
        total += last != b"\n"
    return total


def read_lines(
    inputs: Sequence[str], digests: list[InputDigest], *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[RawLine]:
    """All lines of all inputs in order, empty ones too; one digest a file is appended to `digests`.

    Raises InputError for an unreadable file, and where a gzip file is damaged, at the place of the damage.
    """
    for name in inputs:
        digest = InputDigest(name)
        digests.append(digest)
        with open_input(name, digest) as file:
            for number, piece in enumerate(split_lines(file.read1, max_line_bytes), start=1):
                yield RawLine(name, number, piece.data, piece.size)


@contextlib.contextmanager
def open_input(name: str, digest: InputDigest) -> Iterator[Unpacked]:
    """A reader of the unpacked text without byte order mark, the rows of Parquet as lines; raises InputError where it
    can be neither."""
    with open_unpacked(name, digest) as (opened, start):
        if start.startswith(PARQUET_MAGIC):
            with io.BufferedReader(ParquetLines(name, opened), _CHUNK_BYTES) as lines:
                yield lines
            return
        if what := foreign_kind(start):
            raise InputError(f"{name} is {what}, not JSONL", "give UTF-8 text with one JSON object a line, or Parquet")
        if start.startswith(UTF8_BOM):
            opened.read(len(UTF8_BOM))
        yield opened


@contextlib.contextmanager
def open_unpacked(name: str, digest: InputDigest) -> Iterator[tuple[Unpacked, bytes]]:
    """A reader of the unpacked bytes, whatever they are, and the first of them, which stay to be read.

    gzip is seen by its first bytes, whatever the name.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_damage_reported(name))
        raw = _open_raw(name)
        if name != "-":
            stack.enter_context(raw)
        hashed = _Hashed(raw, digest)
        start = hashed.start(8)
        buffered = stack.enter_context(io.BufferedReader(hashed, _CHUNK_BYTES))
        opened: Unpacked = buffered
        if start.startswith(GZIP_MAGIC):
            unpacking = stack.enter_context(gzip.GzipFile(fileobj=buffered))
            # Unbuffered above: a buffer that fills itself would lose what comes before a damage.
            opened = unpacking
            start = opened.peek(8)[:8]
        yield opened, start


def foreign_kind(start: bytes) -> str | None:
    """What a file is that starts so, where that is no UTF-8 text."""
    return next((what for magic, what in _FOREIGN_STARTS.items() if start.startswith(magic)), None)


def _open_raw(name: str) -> IO[bytes]:
    if name == "-":
        return _stdin()
    try:
        return Path(name).open("rb")
    except IsADirectoryError as error:
        raise InputError(
            f"{name} is a directory", f"name the files in it, for example {name.rstrip('/')}/*.jsonl"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist", "check the path; - reads from stdin") from error
    except PermissionError as error:
        raise InputError(f"{name} may not be read: permission denied", "check the file's owner and mode") from error
    except (OSError, ValueError) as error:
        raise InputError(f"cannot open {name!r}: {error}") from error


def _stdin() -> IO[bytes]:
    """Stdin without Python's buffer, whose lock a reading thread would hold when the process ends."""
    if sys.stdin is None:
        raise InputError("stdin (-) is closed")
    try:
        return cast(IO[bytes], io.FileIO(sys.stdin.fileno(), closefd=False))
    except (OSError, ValueError):
        return sys.stdin.buffer


@contextlib.contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    hint = "pack it again, or unpack what can be read with: gzip -dc FILE > part.jsonl"
    try:
        yield
    except EOFError as error:
        raise InputError(f"{name} is cut off: the gzip data ends too early", hint) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{name} is damaged: {error}", hint) from error
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror or error}") from error


class Piece(NamedTuple):
    """A line's bytes (None where it is too long), its size with the line end, where it starts, and whether it ends."""

    data: bytes | None
    size: int
    start: int
    ended: bool = True


def split_lines(read: Callable[[int], bytes], max_line_bytes: int, start: int = 0) -> Iterator[Piece]:
    """Lines of what `read` gives, without holding more than a chunk and one line of at most `max_line_bytes`."""
    held = bytearray()
    size = 0
    while chunk := read(_CHUNK_BYTES):
        parts = chunk.split(b"\n")
        for part in parts[:-1]:
            size += len(part) + 1
            if size - 1 > max_line_bytes:
                yield Piece(None, size, start)
            elif held:
                held += part
                yield Piece(bytes(held), size, start)
            else:
                yield Piece(part, size, start)
            held.clear()
            start += size
            size = 0
        size += len(parts[-1])
        if size <= max_line_bytes:
            held += parts[-1]
        else:
            held = bytearray()
    if size:
        yield Piece(bytes(held) if size <= max_line_bytes else None, size, start, ended=False)


class ShuffledLines:
    """All lines of all inputs in an order that depends only on `seed` and their number.

    With `cluster_of`, which names the cluster of a line (None: one of its own), clusters come in random order and the
    lines of each together, as they stand in the inputs.

    Keeps 12 bytes a line, 16 and 15 to 30 a cluster with `cluster_of`. Input that cannot be read twice (stdin, gzip) is
    unpacked into an unnamed temporary file.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        digests: list[InputDigest],
        seed: int,
        *,
        max_line_bytes: int = MAX_LINE_BYTES,
        cluster_of: Callable[[bytes], str | None] | None = None,
    ) -> None:
        self._inputs = inputs
        self._max_line_bytes = max_line_bytes
        self._numbers = None if cluster_of is None else _ClusterNumbers(cluster_of)
        self._files: list[IO[bytes]] = []
        self._first_line: list[int] = []
        self._starts: array[int] = array("Q")
        try:
            for name in inputs:
                digest = InputDigest(name)
                digests.append(digest)
                self._first_line.append(len(self._starts))
                self._files.append(self._index(name, digest))
        except BaseException:
            self.close()
            raise
        self._order = _order(len(self._starts), seed, None if self._numbers is None else self._numbers.of_line)

    def __len__(self) -> int:
        return len(self._starts)

    def _index(self, name: str, digest: InputDigest) -> IO[bytes]:
        plain = is_plain_file(name)
        copy: IO[bytes] = Path(name).open("rb") if plain else tempfile.TemporaryFile()  # noqa: SIM115
        mark = len(UTF8_BOM) if plain and copy.read(len(UTF8_BOM)) == UTF8_BOM else 0
        with open_input(name, digest) as source:
            read = source.read1 if plain else _copying(source, copy)
            for piece in split_lines(read, self._max_line_bytes, mark):
                self._starts.append(piece.start)
                if self._numbers is not None:
                    self._numbers.add(piece.data)
        return copy

    def __iter__(self) -> Iterator[RawLine]:
        numbers = self._numbers
        clusters = None if numbers is None else numbers.clusters()
        for position, index in enumerate(self._order):
            which = _last_at_or_below(self._first_line, index)
            file = self._files[which]
            file.seek(self._starts[index])
            data = file.readline(self._max_line_bytes + 1)
            size = len(data)
            whole = data.removesuffix(b"\n") if size <= self._max_line_bytes or data.endswith(b"\n") else None
            cluster = None
            if numbers is not None and clusters is not None:
                following = self._order[position + 1 : position + 2]
                ends = not following or numbers.of_line[following[0]] != numbers.of_line[index]
                cluster = InCluster(ends, clusters)
            yield RawLine(self._inputs[which], index - self._first_line[which] + 1, whole, size, cluster)

    def close(self) -> None:
        for file in self._files:
            file.close()


class _ClusterNumbers:
    """The cluster of every line as a number, in the order in which they first come; empty lines have their own."""

    def __init__(self, cluster_of: Callable[[bytes], str | None]) -> None:
        self.of_line: array[int] = array("I")
        self._cluster_of = cluster_of
        self._known = CompactTable()
        self._count = 0
        self._empty = 0

    def add(self, data: bytes | None) -> None:
        is_empty = data is not None and not data.strip()
        self._empty += is_empty
        name = None if data is None or is_empty else self._cluster_of(data)
        number = None if name is None else self._known.get(name)
        if number is None:
            number = self._count
            self._count += 1
            if name is not None:
                self._known.set(name, number)
        self.of_line.append(number)

    def clusters(self) -> Clusters:
        import numpy as np

        sizes = np.bincount(np.asarray(self.of_line)) if self.of_line else np.zeros(1, np.intp)
        return Clusters(len(self.of_line) - self._empty, self._count - self._empty, int(sizes.max()))


def _copying(source: Unpacked, copy: IO[bytes]) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        data = source.read1(size)
        try:
            copy.write(data)
        except OSError as error:
            raise disk_fault("a temporary copy of the input", error) from error
        return data

    return read


def _last_at_or_below(starts: Sequence[int], index: int) -> int:
    which = len(starts) - 1
    while starts[which] > index:
        which -= 1
    return which


def _order(count: int, seed: int, clusters: array[int] | None = None) -> array[int]:
    """A permutation of `count` line indices, sorted by a hash of seed and index: the same with every numpy.

    With the cluster of every line, clusters are sorted so; different ones never have one hash.
    """
    import numpy as np

    index = np.arange(count, dtype=np.uint64) if clusters is None else np.array(clusters, np.uint64)
    key = index + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    # splitmix64's finaliser (Steele, Lea, Flood 2014): neighbouring inputs give unrelated keys.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
    key ^= key >> np.uint64(31)
    order = np.argsort(key, kind="stable").astype(np.uint32)
    return array("I", order.tobytes())
