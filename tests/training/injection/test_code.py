"""Faults in code are proven by the tests of the row, in a child process that can do no harm."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from fare_cli.importers.reading import read_rows
from training.injection import sandbox
from training.injection.humaneval import inject_code
from training.injection.mutations import mutants
from training.pieces import Pieces

ROWS = Path(__file__).parent.parent / "fixtures" / "humaneval.jsonl"


def test_what_runs_to_its_end_has_passed() -> None:
    assert sandbox.run("x = 1 + 1\nassert x == 2") == "passed"


@pytest.mark.parametrize(
    "code",
    [
        "assert False",
        "1 / 0",
        "not python",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "print('passed'); raise ValueError",
        "x = bytearray(4 << 30)",
        "open('big', 'wb').write(bytes(2 << 20))",
        "import numpy",
    ],
)
def test_what_fails_or_leaves_early_or_takes_too_much_has_failed(code: str) -> None:
    assert sandbox.run(code) == "failed"


def test_an_endless_loop_is_a_timeout_and_proves_nothing() -> None:
    assert sandbox.run("while True: pass", wall_s=1.0) == "timeout"


def test_processes_that_the_code_starts_die_with_it(tmp_path: Path) -> None:
    sign = tmp_path / "alive"
    code = (
        "import os, time\n"
        f"if os.fork() == 0:\n    time.sleep(2)\n    open({str(sign)!r}, 'w').close()\n    os._exit(0)\n"
    )
    sandbox.run(code)
    import time

    time.sleep(2.5)
    assert not sign.exists()


def test_the_code_sees_no_environment_and_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    assert sandbox.run("import os\nassert 'SECRET' not in os.environ\nassert os.listdir('.') == []") == "passed"


def test_there_is_no_network_where_the_system_lets_us_take_it_away() -> None:
    code = "import socket\nassert [name for _, name in socket.if_nameindex()] == ['lo']"
    assert (sandbox.run(code) == "passed") or not sandbox.is_without_network()


SOURCE = """def count(items, limit):
    total = 0
    for item in items:
        if item < limit and item != 3:
            total += 1
    return max(total, 1)
"""


def test_mutants_change_one_thing_each_and_say_which() -> None:
    found = list(mutants(SOURCE))
    plain = ast.unparse(ast.parse(SOURCE))
    assert {"comparison", "operator", "off by one", "arguments"} <= {one.kind for one in found}
    assert len({one.source for one in found}) == len(found)
    for one in found:
        assert one.source != plain
        if one.kind != "dropped statement":
            assert one.new in one.source
            assert one.old in plain
        assert one.source.split("\n")[one.line - 1] != plain.split("\n")[one.line - 1]


def test_only_mutants_that_fail_the_tests_are_kept_and_runs_are_not_repeated(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    with Pieces(tmp_path / "out.jsonl", "plan") as pieces:
        made = inject_code(read_rows([str(ROWS)]), 0, counts, pieces)
    assert len(made) >= 4
    tests = {row.text("task_id"): row for row in read_rows([str(ROWS)])}
    for one in made:
        check = f"\n{tests[one.group].text('test')}\ncheck({tests[one.group].text('entry_point')})"
        assert sandbox.run(one.right + check) == "passed"
        assert sandbox.run(one.wrong + check) == "failed"
        assert '"""' not in one.right + one.wrong
    before = (tmp_path / "out.jsonl.pieces.jsonl").read_bytes()
    with Pieces(tmp_path / "out.jsonl", "plan") as pieces:
        assert inject_code(read_rows([str(ROWS)]), 0, Counter(), pieces) == made
    assert (tmp_path / "out.jsonl.pieces.jsonl").read_bytes() == before
