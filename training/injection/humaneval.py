"""HumanEval: faults in right code, each proven wrong by the row's own tests in a sandbox."""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

from fare_cli.importers.row import Row
from training.form.balance import choose
from training.injection import sandbox
from training.injection.item import Injection
from training.injection.mutations import Mutant, mutants
from training.pieces import Pieces

TRIED = 8
"""Mutants whose tests are run, for each task: drawn over the kinds in turn."""
_KEPT = 2
"""Errors for each task."""
_PROTOCOL = "The answer is the whole function in Python. It is right if it does what the question says for every input."
_QUESTION = "Write this Python function.\n\n{prompt}"


def inject_code(rows: Iterable[Row], seed: int, counts: Counter[str], pieces: Pieces) -> list[Injection]:
    """At most two errors for each task whose own solution passes its tests. Each task's runs are one piece of work."""
    proven: list[tuple[Row, str, list[Mutant]]] = []
    for row in rows:
        name = f"code/{row.text('task_id')}"
        if name not in pieces:
            pieces.add(name, _run(row, random.Random(f"{seed}/{name}")))
        made: dict[str, Any] = pieces[name]
        counts.update(made["counts"])
        if found := [Mutant(*values) for values in made["mutants"]]:
            proven.append((row, made["right"], found))
    injections = []
    for part in range(_KEPT):
        # The second is chosen among what the first has left, of another kind where there is one.
        open_rows = [(row, right, found[part::_KEPT]) for row, right, found in proven if found[part::_KEPT]]
        candidates = [[_injection(row, right, one, seed) for one in found] for row, right, found in open_rows]
        chosen = choose([[one.pair for one in found] for found in candidates], seed + part)
        injections += [found[index] for found, index in zip(candidates, chosen, strict=True)]
    order = {row.text("task_id"): number for number, (row, _, _) in enumerate(proven)}
    return sorted(injections, key=lambda one: order[one.group])


def _run(row: Row, rng: random.Random) -> dict[str, Any]:
    """The right code, the mutants that fail its tests, and counts of what became of all."""
    counts: Counter[str] = Counter()
    right = _answer(row)
    if sandbox.run(_test(row, right)) != "passed":
        return {"right": right, "mutants": [], "counts": {"skipped: its own tests do not pass": 1}}
    by_kind: dict[str, list[Mutant]] = {}
    for mutant in mutants(right):
        by_kind.setdefault(mutant.kind, []).append(mutant)
    for found in by_kind.values():
        rng.shuffle(found)
    in_turn = [found[turn] for turn in range(TRIED) for found in by_kind.values() if turn < len(found)]
    wrong = []
    for mutant in in_turn[:TRIED]:
        outcome = sandbox.run(_test(row, mutant.source))
        counts[f"mutants: {_OUTCOMES[outcome]}"] += 1
        if outcome == "failed":
            wrong.append(list(mutant))
    return {"right": right, "mutants": wrong, "counts": dict(counts)}


_OUTCOMES = {
    "passed": "dropped, they pass the tests",
    "failed": "proven wrong",
    "timeout": "dropped, too slow to tell",
}


def _answer(row: Row) -> str:
    """The whole program without docstrings and comments, as `ast.unparse` writes it: so are the mutants."""
    try:
        tree = ast.parse(row.text("prompt") + row.text("canonical_solution"))
    except SyntaxError as error:
        row.refuse("canonical_solution", f"is not Python: {error.msg}")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _test(row: Row, program: str) -> str:
    return f"{program}\n{row.text('test')}\ncheck({row.text('entry_point')})\n"


_RIGHT = (
    "Read line by line, it does what is asked for; its results are those that the question expects.",
    "It handles what the question describes, and none of its conditions, operators or indices is off.",
)
_WRONG = (
    "Line {line} is at fault: it has `{new}` where `{old}` is needed, and the results are wrong.",
    "The mistake is in line {line}: `{new}` in place of `{old}`.",
    "It should have `{old}`; with `{new}` in line {line} the function does something else than asked.",
)
_DROPPED = (
    "A statement is missing before line {line}: `{old}`. Without it the results are wrong.",
    "It leaves out `{old}`, which belongs at line {line}.",
)


def _injection(row: Row, right: str, mutant: Mutant, seed: int) -> Injection:
    rng = random.Random(f"{seed}/{row.text('task_id')}/{mutant.source}")
    words = _DROPPED if mutant.kind == "dropped statement" else _WRONG
    return Injection(
        kind=mutant.kind,
        group=row.text("task_id"),
        question=_QUESTION.format(prompt=row.text("prompt").rstrip()),
        right=right,
        wrong=mutant.source,
        on_right=rng.choice(_RIGHT),
        on_wrong=rng.choice(words).format(line=mutant.line, old=mutant.old, new=mutant.new),
        old=mutant.old,
        new=mutant.new,
        protocol=_PROTOCOL,
    )
