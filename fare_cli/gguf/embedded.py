"""Prompts and decoding that travel inside a GGUF file: `fare.prompts` and `fare.decoding` in its metadata.

Both are JSON text. `fare.prompts` is `{"version": 1, "tasks": {"pairwise": {"system.txt": "...", ...}}}`, the same
files as in a folder of prompts. `fare.decoding` is an object of judging options: `{"votes": 4, "max_tokens": 4096}`.
Files are not trusted: what is not exactly so is refused, and never passed over in silence.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.header import StoredPair, read_header, read_stored_pairs
from fare_cli.gguf.splice import STRING, splice
from fare_cli.prompting import TASK_NAMES, PromptTexts, prompt_file_names

PROMPTS_KEY = "fare.prompts"
DECODING_KEY = "fare.decoding"
LARGEST_BYTES = 1 << 20
"""Longest value of either key in bytes; fare's own prompts take 10,000."""

_PREFIX = "fare."
_VERSION = 1
_HINT = "take it out of the file with: fare models embed-prompts MODEL --remove -o FILE"


def embedded_prompts(path: Path) -> PromptTexts:
    """The prompts that a GGUF file carries, {} if none. Raises ModelError that names the file and the key.

    Their form is checked here, their words by `prompt_from_texts`.
    """
    return _read(path, PROMPTS_KEY, _prompts)


def embedded_decoding(path: Path) -> Mapping[str, Any]:
    """The judging options that a GGUF file carries, {} if none. Raises ModelError that names the file and the key.

    Their form is checked here, names and values by `with_model_defaults`.
    """
    return _read(path, DECODING_KEY, _decoding)


def write_embedded(source: Path, target: Path, prompts: PromptTexts, decoding: Mapping[str, Any]) -> None:
    """Writes `source` to `target` with exactly these prompts and this decoding; {} takes either out.

    No tensor and no pair of others is touched. Raises UsageError for what cannot be carried, else as `splice`.
    """
    if read_header(source).metadata.get("split.count", 1) not in (0, 1):
        raise ModelError(
            f"{source} is one part of a split model, which cannot carry prompts",
            "install them beside it with: fare prompts import DIR --model NAME",
        )
    values: dict[str, str | None] = {pair.key: None for pair in read_stored_pairs(source, _PREFIX)}
    if prompts:
        tasks = {task: dict(texts) for task, texts in prompts.items()}
        values[PROMPTS_KEY] = _to_json(PROMPTS_KEY, {"version": _VERSION, "tasks": tasks})
    if decoding:
        values[DECODING_KEY] = _to_json(DECODING_KEY, dict(decoding))
    splice(source, target, values)


def _to_json(key: str, value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode())
    if size > LARGEST_BYTES:
        raise UsageError(f"{key} would take {size:,} bytes; at most {LARGEST_BYTES:,} are carried in a file")
    return text


def _read(path: Path, key: str, read: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        status = path.stat()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    pairs = _pairs(path, status.st_ino, status.st_size, status.st_mtime_ns)
    try:
        if unknown := [pair.key for pair in pairs if pair.key not in (PROMPTS_KEY, DECODING_KEY)]:
            raise _Fault(f"{_shown(unknown[0])} is not known to this version of fare")
        return read(_value(pairs, key))
    except _Fault as fault:
        raise ModelError(f"{path}: {fault}", _HINT) from None


@functools.lru_cache(maxsize=8)
def _pairs(path: Path, _inode: int, _size: int, _mtime_ns: int) -> list[StoredPair]:
    """Read once for each state of a file: a vocabulary of 150,000 tokens takes a tenth of a second to walk over."""
    return read_stored_pairs(path, _PREFIX)


class _Fault(Exception):
    """What is wrong with a value, its key named."""


def _value(pairs: list[StoredPair], key: str) -> Mapping[str, Any]:
    """The JSON object stored under a key, {} if there is none."""
    found = [pair for pair in pairs if pair.key == key]
    if not found:
        return {}
    if len(found) > 1:
        raise _Fault(f"{key} stands in the file {len(found)} times")
    if found[0].type_id != STRING:
        raise _Fault(f"{key} is not text")
    data = found[0].value[8:]
    if len(data) > LARGEST_BYTES:
        raise _Fault(f"{key} has {len(data):,} bytes; at most {LARGEST_BYTES:,} are read")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _Fault(f"{key} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise _Fault(f"{key} is not a JSON object")
    if not value:
        raise _Fault(f"{key} is empty")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _prompts(value: Mapping[str, Any]) -> PromptTexts:
    if not value:
        return {}
    version, tasks = value.get("version"), value.get("tasks")
    if type(version) is not int or version != _VERSION:
        raise _Fault(f"{PROMPTS_KEY} has the version {_shown(version)}; {_VERSION} is read")
    if unknown := value.keys() - {"version", "tasks"}:
        raise _Fault(f"{PROMPTS_KEY} does not know the key {_shown(min(unknown))}")
    if not isinstance(tasks, dict) or not tasks:
        raise _Fault(f"{PROMPTS_KEY}: tasks is not an object with the texts of a task")
    for task, texts in tasks.items():
        if task not in TASK_NAMES:
            raise _Fault(f"{PROMPTS_KEY}: {_shown(task)} is no task; there are {', '.join(TASK_NAMES)}")
        if not isinstance(texts, dict):
            raise _Fault(f"{PROMPTS_KEY}: {task} is not an object of texts by file name")
        for name, text in texts.items():
            if name not in prompt_file_names(task):
                raise _Fault(f"{PROMPTS_KEY}: {task} does not know the file {_shown(name)}")
            if not isinstance(text, str):
                raise _Fault(f"{PROMPTS_KEY}: {task}/{name} is not text")
    return tasks


def _decoding(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, option in value.items():
        if not isinstance(option, bool | int | float | str):
            raise _Fault(f"{DECODING_KEY}: {_shown(name)} is neither text nor a number nor true or false")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
