"""What `fare judge` reads: the named files, or one record made of text files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fare_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from fare_cli.cli.options import JudgeOptions
    from fare_cli.run.reader import InputPlan

# The text files that make one record: option, field of the record.
_TEXT_FIELDS = {
    "question": "question",
    "a": "answer_a",
    "b": "answer_b",
    "answer": "answer",
    "reference": "reference",
    "rubric": "rubric",
}


def input_plan(task: str, options: JudgeOptions) -> InputPlan:
    """What is read: the named files, or one record made of text files."""
    from fare_cli.records import check_field_map
    from fare_cli.run.reader import InputPlan

    texts = {name: path for name in _TEXT_FIELDS if (path := getattr(options, name)) is not None}
    if texts and options.inputs:
        raise UsageError(
            f"--{next(iter(texts))} makes a record of its own and cannot go with input files",
            "give either JSONL files or text files",
        )
    if texts and options.map:
        raise UsageError("--map is for JSONL files, not for text files")
    field_map = parse_field_map(options.map)
    check_field_map(task, field_map)
    return InputPlan(
        task=task,
        files=tuple(options.inputs or ()),
        field_map=field_map,
        split=options.split,
        shuffle_seed=options.shuffle_seed,
        records=({_TEXT_FIELDS[name]: _text(path) for name, path in texts.items()},) if texts else (),
    )


def parse_field_map(pairs: list[str]) -> dict[str, str]:
    """What `--map FIELD=PATH`, repeated, says."""
    field_map = {}
    for pair in pairs:
        field, equals, path = pair.partition("=")
        if not (field and equals and path):
            raise UsageError(f"--map {pair!r} is not FIELD=PATH", "for example --map answer_a=chosen")
        if field in field_map:
            raise UsageError(f"--map gives {field} twice")
        field_map[field] = path
    return field_map


def _text(path: Path) -> str:
    """The text of a file without the line end at its last line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start})") from error
    return text.removesuffix("\n").removesuffix("\r")
