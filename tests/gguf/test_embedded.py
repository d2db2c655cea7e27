"""Prompts and decoding inside a GGUF file: what is carried comes back, and hostile values are refused by name."""

from __future__ import annotations

import contextlib
import json
import struct
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fare_cli.errors import ExitCode, FareError, ModelError, UsageError
from fare_cli.gguf.embedded import LARGEST_BYTES, embedded_decoding, embedded_prompts, write_embedded
from fare_cli.gguf.model_prompts import find_prompt, own_decoding
from fare_cli.prompting import load_task_prompt, prompt_from_texts, read_prompt_texts
from fare_cli.settings import load_settings, with_model_defaults
from tests.gguf.header_only import pair, write_header_only

PACKAGED = read_prompt_texts()
TOML = PACKAGED["pairwise"]["prompt.toml"]
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=80)


def carrying(path: Path, prompts: object = None, decoding: object = None) -> Path:
    """A file with these values as JSON; bytes are taken as they are."""
    values = {"fare.prompts": prompts, "fare.decoding": decoding}
    pairs = [
        pair(key, value if isinstance(value, bytes) else json.dumps(value).encode())
        for key, value in values.items()
        if value is not None
    ]
    return write_header_only(path, *pairs)


def whole(**changes: object) -> dict[str, Any]:
    """fare.prompts with the packaged texts of pairwise, some of them changed."""
    return {"version": 1, "tasks": {"pairwise": {**PACKAGED["pairwise"], **changes}}}


def test_what_is_written_is_read_and_is_the_same_prompt(tmp_path: Path) -> None:
    source, target = write_header_only(tmp_path / "a.gguf"), tmp_path / "b.gguf"
    write_embedded(source, target, PACKAGED, {"mode": "direct", "temperature": 0.5})
    assert embedded_prompts(target) == PACKAGED
    assert embedded_decoding(target) == {"mode": "direct", "temperature": 0.5}
    for task in PACKAGED:
        assert find_prompt(task, target).prompt == load_task_prompt(task)
    assert (embedded_prompts(source), embedded_decoding(source)) == ({}, {})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(words=TEXTS.filter(str.strip), end=st.sampled_from(["", "\n", "\n\n", "\r\n"]))
def test_any_words_are_the_same_judge_from_a_folder_and_from_the_file(tmp_path: Path, words: str, end: str) -> None:
    folder = tmp_path / "mine" / "pairwise"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**PACKAGED["pairwise"], "system.txt": words + end}.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    target = tmp_path / f"{uuid.uuid4()}.gguf"  # what was read of a file is remembered by its name and times
    write_embedded(write_header_only(tmp_path / "a.gguf"), target, read_prompt_texts(folder.parent), {})
    assert find_prompt("pairwise", target).prompt == load_task_prompt("pairwise", folder.parent)


def test_writing_leaves_nothing_of_what_was_there(tmp_path: Path) -> None:
    path = write_header_only(tmp_path / "a.gguf", pair("fare.prompts", b"{"), pair("fare.other", b"x"))
    write_embedded(path, path, {}, {"votes": 3})
    assert embedded_prompts(path) == {}
    assert embedded_decoding(path) == {"votes": 3}


def test_more_than_is_read_is_not_written(tmp_path: Path) -> None:
    path = write_header_only(tmp_path / "a.gguf")
    with pytest.raises(UsageError, match=r"fare\.prompts would take"):
        write_embedded(path, path, {"pairwise": {"system.txt": "x" * LARGEST_BYTES}}, {})


def test_a_part_of_a_split_model_carries_nothing(tmp_path: Path) -> None:
    path = write_header_only(tmp_path / "a.gguf", pair("split.count", struct.pack("<H", 2), 2))
    with pytest.raises(ModelError, match="split") as caught:
        write_embedded(path, path, PACKAGED, {})
    assert "fare prompts import" in str(caught.value.hint)


_HOSTILE_PROMPTS = {
    "no JSON": (b"{", "not valid JSON"),
    "no UTF-8": (b'{"version": 1, "tasks": {"\xff": {}}}', "not valid JSON"),
    "nested": (b"[" * 100_000, "not valid JSON"),
    "a number of many digits": (b'{"version": ' + b"1" * 100_000 + b"}", "not valid JSON"),
    "not a number": (b'{"version": NaN, "tasks": {}}', "NaN"),
    "twice": (b'{"version": 1, "version": 1, "tasks": {}}', "twice"),
    "a list": ([], "not a JSON object"),
    "empty": ({}, "is empty"),
    "no version": ({"tasks": whole()["tasks"]}, "version None"),
    "a later version": ({**whole(), "version": 2}, "version 2"),
    "a true version": ({**whole(), "version": True}, "version True"),
    "a huge version": ({**whole(), "version": "9" * 100_000}, "version '999"),
    "another key": ({**whole(), "system": "x"}, "'system'"),
    "no tasks": ({"version": 1}, "tasks"),
    "tasks of no kind": ({"version": 1, "tasks": ["pairwise"]}, "tasks"),
    "an unknown task": ({"version": 1, "tasks": {"pairwse": {}}}, "'pairwse'"),
    "a path for a task": ({"version": 1, "tasks": {"../pairwise": {}}}, "'../pairwise'"),
    "a task of no kind": ({"version": 1, "tasks": {"pairwise": "x"}}, "pairwise"),
    "an unknown file": (whole(**{"sytem.txt": "x"}), "'sytem.txt'"),
    "a path for a file": (whole(**{"../../x": "x"}), "'../../x'"),
    "a text of no kind": (whole(**{"system.txt": 1}), "pairwise/system.txt"),
    "no file": ({"version": 1, "tasks": {"pairwise": {}}}, "pairwise/prompt.toml: is missing"),
    "an empty text": (whole(**{"system.txt": " "}), "pairwise/system.txt: is empty"),
    "an unknown placeholder": (whole(**{"user.txt": "{question} {secret}"}), "{secret}"),
    "a missing placeholder": (whole(**{"user.txt": "{question}"}), "not used"),
    "a statement of jinja": (whole(**{"user.txt": "{% for x in range(10) %}"}), "unknown placeholder"),
    "an expression of jinja": (whole(**{"user.txt": "{{ ''.__class__ }} {question}"}), "not used"),
    "an escape": (whole(**{"system.txt": "Judge.\n\x1b[2J"}), "U+001B in line 2"),
    "a bell in TOML": (whole(**{"prompt.toml": 'origin = "\\u0007"\ncontract = "own"'}), "origin holds"),
    "an escape as a key in TOML": (
        whole(**{"prompt.toml": '"\\u001b[2J" = 1\n' + TOML}),
        "does not know the key \\x1b",
    ),
    "half a character": (whole(**{"system.txt": "\ud800"}), "U+D800"),
    "an escape as a task": ({"version": 1, "tasks": {"\x1b[2J": {}}}, "no task"),
    "nested TOML": (whole(**{"prompt.toml": "a=" + "[" * 50_000}), "TOML"),
}


@pytest.mark.parametrize(("value", "words"), _HOSTILE_PROMPTS.values(), ids=_HOSTILE_PROMPTS.keys())
def test_hostile_prompts_are_refused_by_file_and_key(tmp_path: Path, value: object, words: str) -> None:
    path = carrying(tmp_path / "evil.gguf", prompts=value)
    with pytest.raises(ModelError) as caught:
        find_prompt("pairwise", path)
    assert caught.value.message.startswith(f"{path}: fare.prompts")
    assert words in caught.value.message
    assert "--remove" in str(caught.value.hint)
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
    assert caught.value.message.replace("\n", "").isprintable()
    assert len(caught.value.message) < 1000


_HOSTILE_DECODING = {
    "a list": ([1], "not a JSON object"),
    "a list as a value": ({"votes": [1]}, "'votes'"),
    "no value": ({"temperature": None}, "'temperature'"),
    "unknown": ({"vote": 3}, "'vote'"),
    "not a judging option": ({"model": "/etc/passwd"}, "'model'"),
    "text for a number": ({"votes": "3"}, "votes cannot be '3'"),
    "true for a number": ({"max_tokens": True}, "max_tokens cannot be True"),
    "too small": ({"votes": 0}, "votes cannot be 0"),
    "an unknown word": ({"mode": "fast"}, "mode cannot be 'fast'"),
    "an endless number": (b'{"temperature": 1e999}', "temperature cannot be inf"),
    "a contradiction": ({"votes": 4, "mode": "direct"}, "contradicts"),
    "an escape": ({"\x1b[2J": 1}, "\\x1b[2J"),
}


@pytest.mark.parametrize(("value", "words"), _HOSTILE_DECODING.values(), ids=_HOSTILE_DECODING.keys())
def test_hostile_decoding_is_refused_by_file_and_key(tmp_path: Path, value: object, words: str) -> None:
    path = carrying(tmp_path / "evil.gguf", decoding=value)
    with pytest.raises(ModelError) as caught:
        with_model_defaults(load_settings(isolated=True), *own_decoding(path))
    assert caught.value.message.startswith(f"{path}: fare.decoding")
    assert words in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([pair("fare.prompts", b"{}"), pair("fare.prompts", b"{}")], "2 times"),
        ([pair("fare.prompts", struct.pack("<I", 7), 4)], "not text"),
        ([pair("fare.prompts", struct.pack("<IQ", 4, 1) + bytes(4), 9)], "not text"),
        ([pair("fare.prompt", b"{}")], "'fare.prompt' is not known"),
    ],
)
def test_a_key_that_is_not_as_written_by_fare_is_refused(tmp_path: Path, pairs: list[bytes], words: str) -> None:
    path = write_header_only(tmp_path / "evil.gguf", *pairs)
    with pytest.raises(ModelError, match=words):
        find_prompt("pairwise", path)


def test_a_huge_value_is_refused_without_reading_it_as_json(tmp_path: Path) -> None:
    path = carrying(tmp_path / "evil.gguf", prompts=b'{"version":1,"tasks":{' + b" " * (8 << 20) + b"}}")
    tracemalloc.start()
    with pytest.raises(ModelError, match="at most 1,048,576"):
        find_prompt("pairwise", path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["version", "tasks", "pairwise", "step", "system.txt", "user.txt", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(value=_JSON | st.binary(max_size=40))
def test_anything_at_all_is_an_error_of_ours_or_usable(tmp_path: Path, value: object) -> None:
    path = carrying(tmp_path / f"{uuid.uuid4()}.gguf", prompts=value, decoding=value)
    with contextlib.suppress(FareError):
        assert find_prompt("pairwise", path).place in ("inside", "fare")
    with contextlib.suppress(FareError):
        with_model_defaults(load_settings(isolated=True), *own_decoding(path))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(PACKAGED["step"])), st.text(max_size=60)))
def test_any_texts_are_a_prompt_or_a_usage_error(changes: dict[str, str]) -> None:
    with contextlib.suppress(UsageError):
        prompt = prompt_from_texts("step", {**PACKAGED["step"], **changes})
        assert len(prompt.fingerprint) == 16


def test_jinja_in_words_is_only_words(tmp_path: Path) -> None:
    words = "{{ ''.__class__.__mro__ }} {% for i in range(10**9) %}x{% endfor %}"
    path = carrying(tmp_path / "a.gguf", prompts=whole(**{"system.txt": words}))
    assert find_prompt("pairwise", path).prompt.texts["system.txt"] == words


def test_a_broken_value_does_not_matter_to_who_names_other_prompts(tmp_path: Path) -> None:
    path = carrying(tmp_path / "evil.gguf", prompts=b"{")
    folder = tmp_path / "mine" / "pairwise"
    folder.mkdir(parents=True)
    for name, text in PACKAGED["pairwise"].items():
        (folder / name).write_text(text)
    assert find_prompt("pairwise", path, folder.parent).place == "named"
