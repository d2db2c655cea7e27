"""The guards in conftest.py: a skip fails the run unless tests/SKIPS lists it; long tests wait to be asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_CONFTEST = Path(__file__).with_name("conftest.py")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A test folder of its own with this project's conftest.py and an empty list of skips."""
    shutil.copy(_CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "SKIPS").write_text("# nothing may skip\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_fine.py").write_text("def test_fine(): pass\n")
    return tmp_path


def _run(suite: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=suite, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


_SKIPPING = {
    "mark": "import pytest\n@pytest.mark.skip(reason='x')\ndef test_it(): pass\n",
    "call": "import pytest\ndef test_it(): pytest.skip('x')\n",
    "module": "import pytest\npytest.skip('x', allow_module_level=True)\n",
    "fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('x')\ndef test_it(f): pass\n",
}


@pytest.mark.parametrize("how", [(), ("-n", "2", "--dist", "loadfile")], ids=["alone", "as make test"])
@pytest.mark.parametrize("source", _SKIPPING.values(), ids=_SKIPPING.keys())
def test_a_skip_fails_the_run_unless_it_is_listed(suite: Path, source: str, how: tuple[str, ...]) -> None:
    (suite / "test_skipping.py").write_text(source)
    code, said = _run(suite, *how)
    assert code == 1, said
    assert "unlisted skip: test_skipping.py" in said

    (suite / "SKIPS").write_text("test_skipping.py*: needs what this machine has not\n")
    code, said = _run(suite, *how)
    assert code == 0, said


def test_a_listed_skip_needs_a_reason(suite: Path) -> None:
    (suite / "test_skipping.py").write_text(_SKIPPING["call"])
    (suite / "SKIPS").write_text("test_skipping.py*\n")
    code, said = _run(suite)
    assert code != 0
    assert "has no reason" in said


def test_a_run_without_skips_passes(suite: Path) -> None:
    code, said = _run(suite)
    assert (code, "unlisted" in said) == (0, False)


def test_an_expected_failure_is_no_skip(suite: Path) -> None:
    (suite / "test_x.py").write_text("import pytest\n@pytest.mark.xfail\ndef test_x(): assert False\n")
    code, said = _run(suite)
    assert code == 0, said


def test_long_tests_run_only_when_asked_for(suite: Path) -> None:
    (suite / "test_long.py").write_text("import pytest\n@pytest.mark.long\ndef test_long(): assert False\n")
    assert _run(suite)[0] == 0
    assert _run(suite, "-m", "long")[0] == 1
    assert _run(suite, "test_long.py::test_long")[0] == 1
