"""Prompts that travel with a model, as a shell sees them: embed, import, diff, show, and the verdicts they give."""

from __future__ import annotations

import json
import re
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from fare_cli.gguf.header import read_header
from fare_cli.gguf.splice import splice
from tests.cli.conftest import ROOT, Fare
from tests.gguf.test_card import CARDS

PAIRS = "".join(
    json.dumps({"id": str(n), "question": f"{n} + 2?", "answer_a": str(n + 2), "answer_b": str(n)}) + "\n"
    for n in range(3)
)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with prompts for pairwise alone, in other words than fare's."""
    shutil.copytree(ROOT / "prompts" / "pairwise", tmp_path / "mine" / "pairwise")
    (tmp_path / "mine" / "pairwise" / "system.txt").write_text("Which answer is better? Be strict.\n")
    return tmp_path / "mine"


@pytest.fixture
def model(tmp_path: Path, tiny_model: Path) -> Path:
    return Path(shutil.copy(tiny_model, tmp_path / "plain.gguf"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def verdicts(text: str) -> list[dict[str, Any]]:
    """What was judged, without what names the judge."""
    return [{**json.loads(line), "judge": None} for line in text.splitlines()]


def closing(stderr: str) -> str:
    return next(line for line in stderr.splitlines() if line.startswith("prompts: "))


def test_carried_prompts_give_the_verdicts_of_the_same_prompts_in_a_folder(fare: Fare, model: Path, mine: Path) -> None:
    done = fare("models", "embed-prompts", model, "--prompts", mine, "--decoding", "mode=direct", "-o", "judge.gguf")
    assert (done.returncode, done.stdout) == (0, "judge.gguf\n")
    assert "prompts carried: pairwise\ndecoding carried: mode=direct\n" in done.stderr
    judge = ("judge", "pairwise", "-", "--threads", "1", "--model")
    carried = fare(*judge, "judge.gguf", stdin=PAIRS)
    folder = fare(*judge, model, "--mode", "direct", "--prompts", mine, stdin=PAIRS)
    assert carried.returncode == folder.returncode == 0, carried.stderr
    assert verdicts(carried.stdout) == verdicts(folder.stdout)
    assert closing(carried.stderr) == "prompts: carried in judge.gguf"
    assert closing(folder.stderr) == f"prompts: from {mine}"
    own = fare(*judge, model, "--mode", "direct", stdin=PAIRS)
    assert closing(own.stderr) == "prompts: fare's own; the weights were not trained with them"
    assert verdicts(own.stdout) != verdicts(carried.stdout)


def test_the_same_prompts_are_the_same_judge_wherever_they_are(fare: Fare, model: Path, mine: Path) -> None:
    fare("models", "embed-prompts", model, "--prompts", mine, "-o", "judge.gguf")
    judge = ("judge", "pairwise", "-", "--threads", "1", "--mode", "direct", "--model", "judge.gguf")
    named = fare(*judge, "--prompts", mine, stdin=PAIRS)
    assert fare(*judge, stdin=PAIRS).stdout == named.stdout


def test_a_task_that_the_model_has_no_prompts_for_is_told(fare: Fare, model: Path, mine: Path) -> None:
    fare("models", "embed-prompts", model, "--prompts", mine, "-o", "judge.gguf")
    record = json.dumps({"question": "2+2?", "answer": "4"})
    done = fare("judge", "verify", "-", "--mode", "direct", "--threads", "1", "--model", "judge.gguf", stdin=record)
    assert closing(done.stderr).endswith("not trained with them; the model brings prompts for pairwise only")


def test_removing_gives_the_old_file_back(fare: Fare, model: Path, mine: Path) -> None:
    before = model.read_bytes()
    assert fare("models", "embed-prompts", model, "--prompts", mine, "-o", model, "--force").returncode == 0
    assert model.read_bytes() != before
    assert fare("models", "embed-prompts", model, "--remove", "-o", model, "--force").returncode == 0
    assert model.read_bytes() == before


def test_a_model_of_a_name_keeps_licence_and_gets_what_lies_beside(
    fare: Fare, home: Path, tiny_model: Path, mine: Path
) -> None:
    (home / "models").mkdir(parents=True)
    shutil.copy(tiny_model, home / "models" / "one.gguf")
    notes = {"licence": "cc-by-nc-4.0", "decoding": {"max_tokens": 7}}
    (home / "models" / "one.json").write_text(json.dumps(notes))
    assert fare("prompts", "import", mine, "--model", "one").returncode == 0
    done = fare("models", "embed-prompts", "one", "--name", "whole")
    assert (done.returncode, done.stdout) == (0, f"whole\t{home / 'models' / 'whole.gguf'}\n")
    kept = json.loads((home / "models" / "whole.json").read_text())
    assert (kept["licence"], "decoding" in kept) == ("cc-by-nc-4.0", False)
    metadata = read_header(home / "models" / "whole.gguf").metadata
    assert json.loads(str(metadata["fare.decoding"])) == {"max_tokens": 7}
    assert "Be strict." in fare("prompts", "show", "pairwise", "--model", "whole").stdout
    assert fare("prompts", "diff", "one", "whole").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "where to?"),
        (["-o", "x.gguf", "--name", "x"], "where to?"),
        (["-o", "x.gguf"], "brings no prompts"),
        (["-o", "plain.gguf", "--prompts", "mine"], "is there already"),
        (["-o", "mine", "--prompts", "mine"], "is a folder"),
        (["-o", "x.json", "--prompts", "mine"], "must end in .gguf"),
        (["--name", "../x", "--prompts", "mine"], "no name for a model"),
        (["-o", "x.gguf", "--remove", "--prompts", "mine"], "--remove takes everything out"),
        (["-o", "x.gguf", "--prompts", "nowhere"], "no model is called nowhere"),
        (["-o", "x.gguf", "--decoding", "votes"], "not OPTION=VALUE"),
        (["-o", "x.gguf", "--decoding", "vote=3"], "no judging option 'vote'"),
        (["-o", "x.gguf", "--decoding", "votes=many"], "votes cannot be 'many'"),
        (["-o", "x.gguf", "--decoding", "votes=3", "--decoding", "mode=direct"], "contradicts"),
        (["-o", "no/x.gguf", "--prompts", "mine"], "does not exist"),
    ],
)
def test_what_cannot_be_embedded_is_a_usage_error(
    fare: Fare, model: Path, mine: Path, arguments: list[str], words: str
) -> None:
    done = fare("models", "embed-prompts", "plain.gguf", *arguments)
    assert words in done.stderr
    assert done.returncode == (5 if "no model" in words else 2)
    assert not model.with_name("x.gguf").exists()


def test_a_full_disk_leaves_nothing_behind(fare: Fare, model: Path, mine: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk: the write itself fails."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    before = sorted(path.name for path in tmp_path.iterdir())
    done = fare("models", "embed-prompts", model, "--prompts", mine, "-o", "x.gguf", preexec_fn=limit)
    assert done.returncode == 5
    assert "x.gguf cannot be written" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_settings_of_the_model_are_shown_with_their_origin(fare: Fare, model: Path) -> None:
    fare("models", "embed-prompts", model, "--decoding", "max_tokens=77", "--decoding", "votes=3", "-o", "judge.gguf")
    shown = json.loads(fare("doctor", "--settings", "--json", "--isolated", "--model", "judge.gguf").stdout)
    assert shown["max_tokens"]["value"] == 77
    assert shown["max_tokens"]["origin"].endswith("judge.gguf: fare.decoding")
    over = fare("doctor", "--settings", "--json", "--model", "judge.gguf", env={"FARE_MAX_TOKENS": "5"})
    assert json.loads(over.stdout)["max_tokens"] == {"value": 5, "origin": "FARE_MAX_TOKENS"}


def test_hostile_metadata_ends_a_run_with_the_file_and_the_key(fare: Fare, model: Path) -> None:
    """And nothing of it steers the terminal."""
    value = json.dumps({"version": 1, "tasks": {"\x1b]0;evil\x07": {}}}, ensure_ascii=False)
    splice(
        model,
        model.with_name("evil.gguf"),
        {"fare.prompts": value.replace("\x1b", "\\u001b").replace("\x07", "\\u0007")},
    )
    for command in (
        ("judge", "pairwise", "-", "--model", "evil.gguf"),
        ("prompts", "show", "pairwise", "--model", "evil.gguf"),
        ("prompts", "diff", "fare", "evil.gguf"),
    ):
        done = fare(*command, stdin=PAIRS)
        assert (done.returncode, done.stdout) == (5, "")
        assert re.search(r"error: .*evil\.gguf: fare\.prompts: .* is no task", done.stderr)
        assert "fare models embed-prompts MODEL --remove" in done.stderr
        assert "\x1b" not in done.stderr
        assert "\x07" not in done.stderr
    assert fare("models", "embed-prompts", "evil.gguf", "--remove", "-o", "good.gguf").returncode == 0
    assert fare("prompts", "show", "pairwise", "--model", "good.gguf").returncode == 0


def test_diff_shows_lines_and_its_exit_code_says_whether_they_differ(fare: Fare, model: Path, mine: Path) -> None:
    same = fare("prompts", "diff", "fare", ROOT / "prompts")
    assert (same.returncode, same.stdout, same.stderr) == (0, "", "")
    differ = fare("prompts", "diff", "fare", mine)
    assert differ.returncode == 1
    assert "+Which answer is better? Be strict." in differ.stdout
    assert "verify: only in fare" in differ.stdout
    fare("models", "embed-prompts", model, "--prompts", mine, "-o", "judge.gguf")
    assert "verify" not in fare("prompts", "diff", "fare", "judge.gguf").stdout
    assert fare("prompts", "diff", "fare", "nowhere").returncode == 5


def test_words_that_hide_or_steer_are_written_out_where_they_are_shown(fare: Fare, mine: Path) -> None:
    (mine / "pairwise" / "system.txt").write_text("Prefer \u202eA.\u202c\nBe \x1b[31mstrict.\n")
    shown = fare("prompts", "diff", "fare", mine).stdout
    assert "+Prefer \\u202eA.\\u202c" in shown
    assert "+Be \\x1b[31mstrict." in shown
    refused = fare("prompts", "show", "pairwise", "--prompts", mine)
    assert refused.returncode == 2
    assert "system.txt: holds the control character U+001B in line 2" in refused.stderr


def test_a_card_is_shown_and_installed_by_hand(fare: Fare, home: Path, tiny_model: Path) -> None:
    (home / "models").mkdir(parents=True)
    shutil.copy(tiny_model, home / "models" / "one.gguf")
    card = CARDS / "constants.md"
    looked = fare("prompts", "import", card)
    assert looked.returncode == 0
    assert "found: pairwise/system.txt, critique.txt: line 28" in looked.stdout
    assert "nothing was written" in looked.stderr
    assert fare("prompts", "import", card, "--model", "one").returncode == 0
    shown = fare("prompts", "show", "step", "--model", "one").stdout
    assert shown.startswith(
        "prompts: installed with the model in one.prompts\norigin: Taken from the model card constants.md"
    )
    assert "Find the first wrong step." in shown
    again = fare("prompts", "import", card, "--model", "one")
    assert again.returncode == 2
    assert "--force" in again.stderr
    assert fare("prompts", "import", CARDS / "messages.md", "--model", "one", "--force").returncode == 0


def test_imported_prompts_can_be_written_to_a_new_folder_and_pass_the_check(fare: Fare, tmp_path: Path) -> None:
    assert fare("prompts", "import", CARDS / "messages.md", "-o", "taken").returncode == 0
    assert fare("prompts", "check", "taken").returncode == 0
    assert fare("prompts", "import", CARDS / "messages.md", "-o", "taken").returncode == 2
    assert fare("prompts", "import", CARDS / "README.md", "-o", "other").returncode == 2
    assert not (tmp_path / "other").exists()


def test_names_that_steer_the_terminal_are_written_out_in_errors(fare: Fare, model: Path) -> None:
    done = fare("judge", "pairwise", "evil\x1b[2J.jsonl", "--model", model, stdin="")
    assert done.returncode == 2
    assert "evil\\x1b[2J.jsonl" in done.stderr
    assert "\x1b" not in done.stderr
