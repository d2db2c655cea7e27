"""Every way in which `fare` can end, as the shell sees it."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fare_cli import errors
from fare_cli.cli.main import build_app, run
from tests.cli.conftest import PROGRAM, ROOT, Fare, environment


def leaf_commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not hasattr(command, "commands"):
        return [path]
    return [leaf for name, child in command.commands.items() for leaf in leaf_commands(child, (*path, name))]


LEAVES = leaf_commands(build_app())

# Puts `body` in the place of the command at `path`, then runs the real entry point.
_INJECT = """
import sys
from fare_cli import errors
from fare_cli.cli import main
app = main.build_app()
command = app
for name in {path!r}:
    command = command.commands[name]
def body(**_options):
{body}
command.params, command.callback = [], body
main.build_app = lambda: app
sys.argv = ["fare", *{path!r}]
main.main()
"""


def program(path: tuple[str, ...], body: str) -> list[str]:
    indented = "\n".join("    " + line for line in body.splitlines())
    return [sys.executable, "-c", _INJECT.format(path=path, body=indented)]


def inject(path: tuple[str, ...], body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program(path, body), capture_output=True, text=True, env=environment(), cwd=ROOT, timeout=60, check=False
    )


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_a_bug_in_any_command_exits_70_with_its_traceback(path: tuple[str, ...]) -> None:
    done = inject(path, "raise ZeroDivisionError('seven')")
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: seven" in done.stderr
    assert "error: this is a bug in fare" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError, 2),
        (errors.InputError, 2),
        (errors.InvalidRecordsError, 3),
        (errors.EnvironmentFault, 5),
        (errors.ModelError, 5),
    ],
)
def test_an_error_of_fare_shows_message_and_hint_and_has_its_code(error: type[errors.FareError], code: int) -> None:
    done = inject(("doctor",), f"raise errors.{error.__name__}('it broke', 'mend it')")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "error: it broke\nhint: mend it\n")


def test_memory_and_disk_are_the_machines_fault() -> None:
    assert inject(("doctor",), "raise MemoryError").returncode == 5
    full = inject(("doctor",), "raise OSError(28, 'No space left on device', 'out.jsonl')")
    assert full.returncode == 5
    assert full.stderr == "error: the disk is full: out.jsonl\n"


def test_another_os_error_is_a_bug() -> None:
    assert inject(("doctor",), "raise OSError(22, 'Invalid argument')").returncode == 70


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["judge", "pairwise", "--vote", "3"], "no such option: --vote"),
        (["judge", "pairwse"], "Did you mean 'pairwise'?"),
        (["judge", "pairwise", "--seed", "many"], "--seed"),
        (["judge", "pairwise", "--mode", "loud"], "--mode"),
        (["judge", "step", "--tie"], "no such option: --tie"),
        (["data", "schema"], "missing argument"),
        (["--nonsense"], "no such option"),
    ],
)
def test_a_wrong_command_line_exits_2_and_says_where_to_look(fare: Fare, arguments: list[str], said: str) -> None:
    done = fare(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert said.lower() in first.lower()
    assert second.startswith("hint: fare")
    assert second.endswith("--help lists what it takes")


@pytest.mark.parametrize("path", [(), ("judge",), ("prompts",), ("data",), ("models",)], ids=" ".join)
def test_a_group_alone_shows_its_help_on_stderr(fare: Fare, path: tuple[str, ...]) -> None:
    done = fare(*path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: fare")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "terminated"]
)
def test_a_signal_ends_with_its_own_code(number: signal.Signals, code: int) -> None:
    body = "import time\nprint('ready', flush=True)\ntime.sleep(60)"
    with subprocess.Popen(
        program(("doctor",), body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        _, said = child.communicate(timeout=30)
    assert child.returncode == code
    assert "Traceback" not in said


def test_a_closed_stdout_ends_quietly_with_0() -> None:
    body = "for number in range(1_000_000):\n    print(number)"
    with subprocess.Popen(
        program(("doctor",), body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "0\n"
        child.stdout.close()
        said = child.stderr.read()
        child.wait(timeout=30)
    assert (child.returncode, said) == (0, "")


def test_output_that_does_not_fit_the_disk_exits_5(tmp_path: Path) -> None:
    with (tmp_path / "schema.json").open("w") as out:
        done = subprocess.run(
            [*PROGRAM, "data", "schema", "verdict"],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
            timeout=60,
            check=False,
        )
    assert done.returncode == 5
    assert done.stderr == "error: the file grew beyond the limit set for this process\n"


def test_version_names_the_program(fare: Fare) -> None:
    done = fare("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("fare 0.")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from fare_cli.cli.main import run; run(['--help']); "
        "heavy = {'numpy', 'llama_cpp', 'torch', 'pydantic', 'rich', 'jinja2', 'huggingface_hub'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert done.stderr == "[]\n"
    assert "judge" in done.stdout


def test_run_gives_the_code_without_ending_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--nonsense"]) == 2
    assert capsys.readouterr().err.startswith("error: no such option")


def test_the_package_gives_its_public_names_when_asked() -> None:
    code = (
        "import sys, fare_cli as fare; before = 'pydantic' in sys.modules; "
        "print(before, fare.FareError.__name__, fare.Verdict.__name__, fare.Judge.__name__, "
        "set(fare.__all__) <= set(dir(fare)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert done.stdout == "False FareError Verdict Judge True\n", done.stderr


def test_a_name_the_package_does_not_have_is_an_attribute_error() -> None:
    import fare_cli

    with pytest.raises(AttributeError, match="nonsense"):
        _ = fare_cli.nonsense
