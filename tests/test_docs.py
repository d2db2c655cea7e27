"""The documentation says what the program does: docs/cli.md is its help, and every command and option in it exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fare_cli.cli.main import build_app
from fare_cli.cli.options import SETTING_NAMES, JudgeOptions
from tests.cli.conftest import ROOT, environment
from training.__main__ import build_app as build_training

PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")} - {ROOT / "docs" / "cli.md"})
APP = build_app()

_FENCED = re.compile(r"^```[a-z]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
# A command of fare inside code, up to a comment, a pipe or the next command.
_COMMAND = re.compile(r"(?:^|[\s/(])fare ([a-z-][^#|>;&\n]*)")
# What stands for any command or file in an example.
_ANYTHING = re.compile(r"\.\.\.|…|[A-Z]+|\"?\$.*")


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from leaves(child, (*path, name))


COMMANDS = dict(leaves(APP))
OPTIONS = {
    path: {"--help"} | {o for p in c.params for o in (*p.opts, *p.secondary_opts)} for path, c in COMMANDS.items()
}
_OF_PIP = {"--extra-index-url", "--no-cache-dir"}
_OF_SCRIPTS = {
    option
    for script in ROOT.glob("benchmarks/*.py")
    for option in re.findall(r"add_argument\(\s*\"(--[a-z-]+)\"", script.read_text(encoding="utf-8"))
}
_OF_TRAINING = {o for _, c in leaves(build_training()) for p in c.params for o in (*p.opts, *p.secondary_opts)}
# The plugin's own, and those of pytest and pytest-xdist that it has to do with.
_OF_PYTEST = {"--fare", "--fare-verdicts"} | {
    "--collect-only", "--junit-xml", "--last-failed", "--setup-plan", "-k", "-n", "-p", "-v", "-vv", "-x"
}  # fmt: skip
ALL_OPTIONS = _OF_PIP.union(_OF_PYTEST, _OF_SCRIPTS, _OF_TRAINING, *OPTIONS.values())


def code_in(text: str) -> Iterator[str]:
    """Every line of a fenced block, and every span of code outside of them."""
    for block in _FENCED.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", _FENCED.sub("", text))


def faults(text: str) -> list[str]:
    """Commands and options of fare in the code of `text` that do not exist."""
    found: list[str] = []
    for code in code_in(text):
        for command in _COMMAND.findall(code):
            found += command_faults(command.split())
        option = re.match(r"--[a-z][a-z0-9-]*|-[a-z](?![a-z-])", code)
        if option and option[0] not in ALL_OPTIONS:
            found.append(f"{option[0]}: no command has it")
    return found


def command_faults(words: list[str]) -> list[str]:
    path: tuple[str, ...] = ()
    while words and (*path, words[0]) in COMMANDS:
        path = (*path, words.pop(0))
    known = OPTIONS[path]
    if hasattr(COMMANDS[path], "commands") and words and not words[0].startswith("-"):
        if not _ANYTHING.fullmatch(words[0]):
            return [f"fare {' '.join((*path, words[0]))}: no such command"]
        known = set().union(*(OPTIONS[other] for other in COMMANDS if other[: len(path)] == path))
    options = {word.partition("=")[0].rstrip(",.;:)") for word in words if re.match(r"--?[a-z]", word)}
    return [f"fare {' '.join(path)} {option}: no such option" for option in sorted(options - known)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_in_the_docs_exists(page: Path) -> None:
    assert faults(page.read_text(encoding="utf-8")) == []


def test_a_wrong_command_or_option_would_be_found() -> None:
    text = "Run `fare judge pairwse x.jsonl`, `fare judge step --tie x` or `fare judge verify --no-record x`; `--loud`."
    assert faults(text) == [
        "fare judge pairwse: no such command",
        "fare judge step --tie: no such option",
        "--loud: no command has it",
    ]


def test_cli_md_is_the_programs_help() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "cli_docs.py"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == done.stdout, (
        "run: python scripts/cli_docs.py > docs/cli.md"
    )


@pytest.mark.parametrize("path", [path for path in COMMANDS if path], ids=" ".join)
def test_every_command_and_option_has_one_plain_line_of_help(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.get_short_help_str(200)
    for param in command.params:
        text = getattr(param, "help", None)
        assert text, f"{param.name} has no help"
        assert "\n" not in text
        assert text[0].isupper() or text.startswith(("JSONL", "pairwise"))


def test_the_defaults_in_the_help_are_those_of_the_settings() -> None:
    from fare_cli.settings import Settings

    defaults = {name: Settings.model_fields[name].default for name in SETTING_NAMES}
    options = {param.name: param.help for param in COMMANDS[("judge", "pairwise")].params}
    for name, default in defaults.items():
        shown = re.search(r"\[default: ([^\]]*)\]", options[name])
        if default is None or default is False:
            continue  # said in words, or a flag
        assert shown is not None, name
        expected = f"{default:.0%}" if name == "max_invalid" else str(default)
        assert shown[1] == expected, name


def test_settings_and_flags_have_the_same_names() -> None:
    from fare_cli.settings import Settings

    assert set(SETTING_NAMES) == set(Settings.model_fields)
    assert set(SETTING_NAMES) <= set(JudgeOptions.__dataclass_fields__)


def test_shell_blocks_can_be_read_by_a_shell() -> None:
    for page in PAGES:
        for block in re.findall(r"```(?:console|sh|bash)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            shlex.split(block, comments=True)


def test_the_table_of_importers_is_that_of_the_program() -> None:
    from scripts import importer_docs

    assert importer_docs.PAGE.read_text(encoding="utf-8") == importer_docs.page(), (
        "run: python scripts/importer_docs.py"
    )
    assert all(f"| `{name}` |" in importer_docs.page() for name in importer_docs.IMPORTERS)


def test_the_recipe_of_the_docs_makes_records(tmp_path: Path) -> None:
    from fare_cli.importers.convert import Conversion
    from fare_cli.importers.recipe import read_recipe

    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "clarity.toml").write_text(recipe)
    row = '{"prompt": "Why?", "response": {"text": "So."}, "rating": "good", "status": "%s"}\n'
    (tmp_path / "ratings.jsonl").write_text(row % "ok" + row % "timeout")
    conversion = Conversion(read_recipe(tmp_path / "clarity.toml").importer(), [str(tmp_path / "ratings.jsonl")])
    assert len(list(conversion.lines())) == 1
    assert (dict(conversion.gold), dict(conversion.skipped)) == ({"3": 1}, {"status is timeout": 1})
