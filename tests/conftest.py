"""What all tests stand on: a home of their own, the small model, the marker `long`, and no silent skips."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import settings

# No test depends on how fast the machine is just now, nor on chance: a change must not fail for what it did not do.
# New examples are drawn by `.ci/long`.
settings.register_profile("fare", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("fare")

_SKIPS = Path(__file__).with_name("SKIPS")
_LONG = "long: takes too long for every change; left out unless chosen with -m"

# Taken before any test changes it, so that the model is found where the user has installed it.
_ENVIRONMENT = dict(os.environ)

_listed_skips: list[str] = []
_unlisted_skips: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _LONG)
    _listed_skips[:] = _read_listed_skips()


def _read_listed_skips() -> list[str]:
    """Patterns of the tests that may skip, from lines `PATTERN: reason` (`*` matches anything)."""
    lines = [line.strip() for line in _SKIPS.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition(": ") for line in lines if line and not line.startswith("#")]
    for pattern, _, reason in pairs:
        if not reason.strip():
            raise pytest.UsageError(f"{_SKIPS}: {pattern} has no reason")
    return [pattern for pattern, _, _ in pairs]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the long tests out, unless -m or a test's own id says what to run."""
    named = any("::" in argument for argument in config.args)
    if config.option.markexpr or named:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in set(long)]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _note_skip(report.nodeid, report.skipped and not hasattr(report, "wasxfail"))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _note_skip(report.nodeid, report.skipped)


def _note_skip(nodeid: str, skipped: bool) -> None:
    if skipped and not any(fnmatchcase(nodeid, pattern) for pattern in _listed_skips):
        _unlisted_skips.append(nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unlisted_skips and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for nodeid in _unlisted_skips:
        terminalreporter.write_line(f"unlisted skip: {nodeid} (list it with its reason in tests/SKIPS)", red=True)


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Points everything a user's machine could bring in to an empty folder, for the whole session."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith("FARE_"):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("FARE_HOME", str(home / "fare"))
        for name in ("CACHE", "CONFIG", "DATA", "STATE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        yield


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The small model's GGUF file: `FARE_TEST_MODEL`, or the one the user has installed. Never skips."""
    named = _ENVIRONMENT.get("FARE_TEST_MODEL")
    path = Path(named) if named else _installed()
    if not path.is_file():
        raise RuntimeError(f"the tests need {path}: run `fare models pull smollm2`, or set FARE_TEST_MODEL")
    return path


def _installed() -> Path:
    from fare_cli.gguf.store import models_folder

    with _environment_of_the_user():
        return models_folder() / "smollm2.gguf"


@contextmanager
def _environment_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ, *_ENVIRONMENT]:
            if name in _ENVIRONMENT:
                patch.setenv(name, _ENVIRONMENT[name])
            else:
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def converter_folder() -> Path:
    """llama.cpp's converter, unpacked: `FARE_TEST_CONVERTER`, or the one in the user's cache. Never skips."""
    from fare_cli.folders import cache_folder
    from fare_cli.gguf.building.converter import SDIST_SHA256

    named = _ENVIRONMENT.get("FARE_TEST_CONVERTER")
    with _environment_of_the_user():
        path = Path(named) if named else cache_folder() / "converter" / SDIST_SHA256[:16]
    if not path.is_dir():
        raise RuntimeError(f"the tests need {path}: run `make setup-tests`, or set FARE_TEST_CONVERTER")
    return path
