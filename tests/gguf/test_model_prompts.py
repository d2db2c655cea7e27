"""Whose prompts and whose decoding hold for a model: every combination of places, and nothing skipped in silence."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest

from fare_cli.errors import FareError, ModelError, UsageError
from fare_cli.gguf.model_prompts import find_prompt, install_prompts, own_decoding, own_prompt_texts
from fare_cli.gguf.notes import ModelNotes, prompts_folder, write_notes
from fare_cli.prompting import load_task_prompt, read_prompt_texts
from fare_cli.settings import load_settings, with_model_defaults
from tests.gguf.header_only import pair, write_header_only

PACKAGED = read_prompt_texts()


def words_of(place: str, task: str = "pairwise") -> dict[str, dict[str, str]]:
    """fare's prompts of a task with a word of their own."""
    return {task: {**PACKAGED[task], "system.txt": f"Judge as {place}.\n"}}


def write_folder(folder: Path, texts: dict[str, dict[str, str]]) -> Path:
    for task, files in texts.items():
        (folder / task).mkdir(parents=True)
        for name, text in files.items():
            (folder / task / name).write_text(text)
    return folder


def write_model(path: Path, texts: dict[str, dict[str, str]] | None = None, **decoding: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = []
    if texts:
        pairs.append(pair("fare.prompts", json.dumps({"version": 1, "tasks": texts}).encode()))
    if decoding:
        pairs.append(pair("fare.decoding", json.dumps(decoding).encode()))
    return write_header_only(path, *pairs)


@pytest.mark.parametrize(
    "places", [c for n in range(4) for c in itertools.combinations(("named", "beside", "inside"), n)]
)
def test_the_first_place_that_has_prompts_counts(tmp_path: Path, places: tuple[str, ...]) -> None:
    model = write_model(tmp_path / "m.gguf", words_of("inside") if "inside" in places else None)
    if "beside" in places:
        write_folder(prompts_folder(model), words_of("beside"))
    named = write_folder(tmp_path / "mine", words_of("named")) if "named" in places else None
    found = find_prompt("pairwise", model, named)
    assert found.place == (places[0] if places else "fare")
    assert found.prompt.texts["system.txt"].startswith(f"Judge as {places[0]}." if places else "You are a careful")
    said = {
        "named": f"from {tmp_path / 'mine'}",
        "beside": "installed with the model in m.prompts",
        "inside": "carried in m.gguf",
        "fare": "fare's own; the weights were not trained with them",
    }
    assert found.source == said[found.place]


def test_each_task_is_looked_for_by_itself_and_what_others_have_is_said(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.gguf", {**words_of("inside"), **words_of("inside", "step")})
    write_folder(prompts_folder(model), words_of("beside"))
    assert find_prompt("pairwise", model).place == "beside"
    assert find_prompt("step", model).place == "inside"
    verify = find_prompt("verify", model)
    assert verify.place == "fare"
    assert verify.source.endswith("; the model brings prompts for pairwise, step only")
    assert own_prompt_texts(model) == {**words_of("inside", "step"), **words_of("beside")}


def test_a_named_folder_without_the_task_is_an_error_whatever_the_model_brings(tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.gguf", words_of("inside"))
    named = write_folder(tmp_path / "mine", words_of("named", "step"))
    with pytest.raises(UsageError, match="no folder pairwise"):
        find_prompt("pairwise", model, named)


@pytest.mark.parametrize("damage", ["missing file", "empty folder", "a file", "dangling link", "misspelt"])
def test_a_broken_place_never_makes_way_for_the_next(tmp_path: Path, damage: str) -> None:
    model = write_model(tmp_path / "m.gguf", words_of("inside"))
    folder = prompts_folder(model)
    if damage == "missing file":
        (write_folder(folder, words_of("beside")) / "pairwise" / "user.txt").unlink()
    elif damage == "empty folder":
        folder.mkdir()
    elif damage == "a file":
        folder.write_text("x")
    elif damage == "dangling link":
        folder.symlink_to(tmp_path / "nowhere")
    else:
        write_folder(folder, {"pairwse": PACKAGED["pairwise"]})
    with pytest.raises(UsageError, match=r"m\.prompts"):
        find_prompt("pairwise", model)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


SOURCES = ("flag", "variable", "project", "notes", "inside")


@pytest.mark.parametrize("sources", [c for n in range(6) for c in itertools.combinations(SOURCES, n)])
@pytest.mark.parametrize("isolated", [False, True])
def test_the_nearest_source_of_a_setting_counts(
    home: Path, project: Path, monkeypatch: pytest.MonkeyPatch, sources: tuple[str, ...], isolated: bool
) -> None:
    value = {source: 100 + number for number, source in enumerate(SOURCES)}
    path = home / "models" / "m.gguf"
    model = write_model(path, **({"max_tokens": value["inside"]} if "inside" in sources else {}))
    if "notes" in sources:
        write_notes(model, ModelNotes(decoding={"max_tokens": value["notes"]}))
    if "project" in sources:
        (project / "fare.toml").write_text(f"max_tokens = {value['project']}\n")
    if "variable" in sources:
        monkeypatch.setenv("FARE_MAX_TOKENS", str(value["variable"]))
    flags = {"max_tokens": value["flag"]} if "flag" in sources else {}
    settings = with_model_defaults(load_settings(flags, isolated=isolated), *own_decoding(model))
    counted = [source for source in sources if not (isolated and source == "project")]
    assert settings.max_tokens == (value[counted[0]] if counted else 1024)
    origin = {
        "flag": "--max-tokens",
        "variable": "FARE_MAX_TOKENS",
        "project": str(project / "fare.toml"),
        "notes": f"{path.with_suffix('.json')}: decoding",
        "inside": f"{path}: fare.decoding",
    }
    assert settings.origin("max_tokens") == (origin[counted[0]] if counted else "default")


def test_a_file_of_that_name_beside_a_model_that_is_not_installed_is_anybodys(home: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "m.gguf", max_tokens=5)
    model.with_suffix(".json").write_text('{"decoding": {"max_tokens": 6}, "mine": 1}')
    assert own_decoding(model).options == {"max_tokens": 5}


def test_damaged_notes_of_an_installed_model_are_an_error(home: Path) -> None:
    model = write_model(home / "models" / "m.gguf")
    model.with_suffix(".json").write_text("{")
    with pytest.raises(ModelError, match=r"m\.json"):
        own_decoding(model)


def test_installing_replaces_the_folder_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "m.prompts"
    install_prompts({**words_of("old"), **words_of("old", "step")}, folder)
    install_prompts(words_of("new"), folder)
    assert read_prompt_texts(folder) == words_of("new")
    assert load_task_prompt("pairwise", folder).texts["system.txt"] == "Judge as new."
    assert [path.name for path in tmp_path.iterdir()] == ["m.prompts"]


def test_prompts_that_cannot_be_used_are_not_installed(tmp_path: Path) -> None:
    folder = tmp_path / "m.prompts"
    install_prompts(words_of("old"), folder)
    wrong = {"pairwise": {**PACKAGED["pairwise"], "user.txt": "{question}"}}
    with pytest.raises(UsageError, match="not used"):
        install_prompts(wrong, folder)
    assert read_prompt_texts(folder) == words_of("old")


def test_where_nothing_can_be_written_the_old_prompts_stay(tmp_path: Path) -> None:
    folder = tmp_path / "m.prompts"
    install_prompts(words_of("old"), folder)
    # What is put aside would have to go where a file already lies.
    aside = tmp_path / f".m.prompts.{os.getpid()}.old"
    aside.mkdir()
    (aside / "x").write_text("x")
    with pytest.raises(FareError):
        install_prompts(words_of("new"), folder)
    assert read_prompt_texts(folder) == words_of("old")
