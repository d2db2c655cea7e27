"""`fare prompts`: what is shown is what is asked, and what is wrong is found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Fare


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        (
            "pairwise",
            ["[User Question]\n{question}\n", "Assistant A's Answer]\n{answer_a}\n", "B's Answer]\n{answer_b}\n"],
        ),
        ("step", ["<step 0> {steps.0}</step 0>\n<step 1> {steps.1}</step 1>"]),
        ("verify", ["{answer}", "{reference}", "--- system, with a reference ---"]),
        ("score", ["{answer}", "{rubric}", "1 to 5"]),
    ],
)
def test_show_prints_the_messages_with_the_names_of_the_fields(fare: Fare, task: str, texts: list[str]) -> None:
    done = fare("prompts", "show", task)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("origin: ")
    assert "--- system ---" in done.stdout
    assert "Explanation:" in done.stdout
    for text in texts:
        assert text in done.stdout


def test_show_direct_asks_for_no_explanation(fare: Fare) -> None:
    shown = fare("prompts", "show", "pairwise", "--mode", "direct").stdout
    assert "Explanation:" not in shown
    assert "Verdict: [A] or [B]" in shown


def test_show_and_check_own_prompts(fare: Fare, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "prompts" / "verify", tmp_path / "mine" / "verify")
    own = tmp_path / "mine" / "verify" / "direct.txt"
    own.write_text("Say yes or no.\nVerdict: yes or no\n")
    assert "Say yes or no." in fare("prompts", "show", "verify", "--mode", "direct", "--prompts", "mine").stdout
    checked = fare("prompts", "check", "mine")
    assert checked.returncode == 0
    assert checked.stdout.startswith("verify: fine; fingerprint ")
    assert fare("prompts", "show", "pairwise", "--prompts", "mine").returncode == 2


def test_check_names_every_problem_with_its_file(fare: Fare, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "prompts", tmp_path / "mine")
    (tmp_path / "mine" / "pairwise" / "user.txt").write_text("{question} {answer_a} {answr_b}\n")
    (tmp_path / "mine" / "score" / "direct.txt").unlink()
    done = fare("prompts", "check", "mine")
    assert done.returncode == 2
    assert "pairwise/user.txt: unknown placeholder {answr_b}" in done.stdout
    assert "pairwise/user.txt: the placeholder {answer_b} is not used" in done.stdout
    assert "score/direct.txt: is missing" in done.stdout
    assert done.stderr.startswith("error: mine: ")
    assert done.stderr.endswith("problems found\n")


def test_check_of_no_folder_exits_2(fare: Fare) -> None:
    done = fare("prompts", "check", "nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere is not a folder")
