"""Stages of a long piece of work: made once, made again when what goes into them changes, never half there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fare_cli.gguf.building.stages import one_at_a_time


def _writing(text: str, done: list[str]) -> Callable[[Path], None]:
    def work(partial: Path) -> None:
        partial.write_text(text)
        done.append(text)

    return work


def test_a_stage_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    done: list[str] = []
    for inputs, text in (({"a": "1"}, "first"), ({"a": "1"}, "again"), ({"a": "2"}, "other")):
        with one_at_a_time(tmp_path / "work", print) as stages:
            stage = stages.make("one.txt", inputs, _writing(text, done))
    assert done == ["first", "other"]
    assert stage.path.read_text() == "other"


def test_a_stage_whose_file_is_gone_or_changed_is_made_again(tmp_path: Path) -> None:
    done: list[str] = []
    with one_at_a_time(tmp_path / "work", print) as stages:
        path = stages.make("one.txt", {}, _writing("whole", done)).path
        path.write_text("cut")
        assert stages.make("one.txt", {}, _writing("whole", done)).path.read_text() == "whole"
        path.unlink()
        stages.make("one.txt", {}, _writing("whole", done))
        (stages.folder / "stages.json").write_text("{")
        stages.make("one.txt", {}, _writing("whole", done))
    assert len(done) == 4


def test_a_stage_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise RuntimeError("no")

    with one_at_a_time(tmp_path / "work", print) as stages:
        with pytest.raises(RuntimeError):
            stages.make("one.txt", {}, fail)
        assert list(stages.folder.iterdir()) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path / "work", print) as stages:
        (stages.folder / ".one.txt.99-1").write_text("half")
        stages.make("one.txt", {}, _writing("whole", []))
        assert sorted(path.name for path in stages.folder.iterdir()) == ["one.txt", "stages.json"]


def test_a_second_process_waits_also_for_a_child_that_outlived_the_first(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\nfrom pathlib import Path\n"
        "from fare_cli.gguf.building.stages import one_at_a_time\n"
        "with one_at_a_time(Path(sys.argv[1]), print) as stages:\n"
        "    child = subprocess.Popen(['sleep', '60'], pass_fds=(stages.lock,))\n"
        "    print(child.pid, flush=True)\n"
        "    child.wait()\n"
    )
    first = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "work")], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    orphan = int(first.stdout.readline())
    first.kill()
    first.wait()
    first.stdout.close()

    second = "from pathlib import Path; import sys; from fare_cli.gguf.building.stages import one_at_a_time\n"
    second += "say = lambda line: print(line, flush=True)\n"
    second += "with one_at_a_time(Path(sys.argv[1]), say): print('mine')\n"
    waiting = subprocess.Popen(
        [sys.executable, "-c", second, str(tmp_path / "work")], stdout=subprocess.PIPE, text=True
    )
    assert waiting.stdout is not None
    assert "waiting" in waiting.stdout.readline()
    subprocess.run(["kill", str(orphan)], check=True)
    assert waiting.communicate(timeout=30)[0] == "mine\n"
