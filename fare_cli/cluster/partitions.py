"""Which files are partitions, and where the verdicts on each go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fare_cli.errors import InputError, UsageError
from fare_cli.run.lines import check_inputs

_KINDS = (".jsonl", ".ndjson", ".json", ".parquet")
_PACKED = ".gz"
_VERDICTS = ".verdicts.jsonl"


class Partition(NamedTuple):
    """A file of records, as it is named to the run, and the file that its verdicts are written to."""

    source: str
    output: str


def find_partitions(inputs: Sequence[str], folder: Path | None) -> list[Partition]:
    """The partitions of `inputs`, in the order of the inputs; those of a folder, at any depth, by name.

    Of a folder, files ending in .jsonl, .ndjson, .json (all three also .gz) and .parquet are taken, but none whose name
    or folder begins with a dot or an underscore, and no verdicts of fare. `NAME.jsonl` is judged into
    `NAME.verdicts.jsonl`, beside it or at the same place under `folder`.

    Raises InputError for an input that is not there or holds no partition, UsageError for stdin, and where two would be
    written to one file.
    """
    files = [name for name in inputs if not Path(name).is_dir()]
    if files or not inputs:
        check_inputs(files)
    found: list[Partition] = []
    for name in inputs:
        if name == "-":
            raise UsageError("stdin is no partition", "--cluster judges files: name them, or a folder of them")
        found += _in_folder(Path(name), folder) if Path(name).is_dir() else [_partition(Path(name), Path(), folder)]
    _check_outputs(found)
    return found


def _in_folder(root: Path, folder: Path | None) -> Iterator[Partition]:
    paths = [path for path in sorted(root.rglob("*")) if _is_partition(path.relative_to(root)) and path.is_file()]
    if not paths:
        raise InputError(
            f"folder {root} holds no partitions",
            f"files ending in {', '.join(_KINDS)} are taken, the first three also .gz",
        )
    return (_partition(path, path.parent.relative_to(root), folder) for path in paths)


def _is_partition(path: Path) -> bool:
    is_hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not is_hidden and _VERDICTS not in path.name and path.name.removesuffix(_PACKED).endswith(_KINDS)


def _partition(path: Path, below: Path, folder: Path | None) -> Partition:
    stem = path.name.removesuffix(_PACKED)
    kind = next((kind for kind in _KINDS if stem.endswith(kind)), "")
    place = path.parent if folder is None else folder / below
    return Partition(str(path), str(place / (stem.removesuffix(kind) + _VERDICTS)))


def _check_outputs(partitions: Sequence[Partition]) -> None:
    by_output: dict[str, str] = {}
    for partition in partitions:
        first = by_output.setdefault(partition.output, partition.source)
        if first is not partition.source:
            raise UsageError(
                f"{first} and {partition.source} would both be judged into {partition.output}",
                "name the folder above them as the input, or judge them in two runs",
            )
