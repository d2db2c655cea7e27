"""Small faults for Python code: each a changed copy of its syntax tree, with the old and the new piece of code."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any, NamedTuple


class Mutant(NamedTuple):
    """A changed program. `old` and `new` are source; `line` is the line of the function that differs first, as
    `ast.unparse` writes it, 1-based."""

    kind: str
    source: str
    old: str
    new: str
    line: int


_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Add, ast.FloorDiv), ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult, ast.Mod), ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,),
}  # fmt: skip
_COMPARISON: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip


def mutants(source: str) -> Iterator[Mutant]:
    """Every fault of these kinds in a program, each once. Whether one is wrong, only its tests can tell."""
    tree = ast.parse(source)
    plain = ast.unparse(tree)
    seen = {plain}
    for number, node in enumerate(ast.walk(tree)):
        for which in range(len(_changes(node))):
            changed = copy.deepcopy(tree)
            target = next(found for place, found in enumerate(ast.walk(changed)) if place == number)
            kind, old, new = _changes(target)[which]()
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text not in seen:
                seen.add(text)
                yield Mutant(kind, text, old, new, _first_difference(plain, text))


def _first_difference(before: str, after: str) -> int:
    pairs = zip(before.split("\n"), after.split("\n"), strict=False)
    return next((number for number, (one, other) in enumerate(pairs, start=1) if one != other), before.count("\n") + 1)


def _changes(node: ast.AST) -> list[Any]:
    """The faults that can be put into a node, as calls that do it and tell (kind, old, new)."""
    if isinstance(node, ast.BinOp | ast.AugAssign):
        return [_swap(node, "operator", "op", other()) for other in _ARITHMETIC.get(type(node.op), ())]
    if isinstance(node, ast.BoolOp):
        return [_swap(node, "operator", "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())]
    if isinstance(node, ast.Compare):
        others = _COMPARISON.get(type(node.ops[0]), ())
        return [_swap(node, "comparison", "ops", [other(), *node.ops[1:]]) for other in others]
    if isinstance(node, ast.Constant):
        return _constant(node)
    if isinstance(node, ast.Call) and len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        return [_swap(node, "arguments", "args", [node.args[1], node.args[0], *node.args[2:]])]
    if isinstance(node, ast.Return) and node.value is not None:
        return _returned(node, node.value)
    if isinstance(node, ast.For | ast.While | ast.If | ast.FunctionDef):
        return [_drop(node, place) for place, one in enumerate(node.body) if len(node.body) > 1 and _may_go(one)]
    return []


def _constant(node: ast.Constant) -> list[Any]:
    if isinstance(node.value, bool):
        return [_swap(node, "constant", "value", not node.value)]
    if isinstance(node.value, int):
        return [_swap(node, "off by one", "value", node.value + by) for by in (1, -1) if node.value + by >= 0]
    return []


def _returned(node: ast.Return, value: ast.expr) -> list[Any]:
    names = [found.id for found in ast.walk(value) if isinstance(found, ast.Name) and isinstance(found.ctx, ast.Load)]
    if isinstance(value, ast.Compare | ast.BoolOp) or (isinstance(value, ast.Call) and "all" in names):
        return [_swap(node, "return value", "value", ast.UnaryOp(ast.Not(), value))]
    if not isinstance(value, ast.Name) and len(set(names)) == 1:
        return [_swap(node, "return value", "value", ast.Name(names[0], ast.Load()))]
    return []


def _may_go(statement: ast.stmt) -> bool:
    """Whether leaving a statement out is a natural slip: an assignment to a new name would just be a crash."""
    return isinstance(statement, ast.AugAssign | ast.Expr | ast.If) or (
        isinstance(statement, ast.Assign) and not isinstance(statement.targets[0], ast.Name)
    )


def _swap(node: ast.AST, kind: str, field: str, value: Any) -> Any:
    def change() -> tuple[str, str, str]:
        old = _piece(node)
        setattr(node, field, value)
        return kind, old, _piece(node)

    return change


def _drop(node: Any, place: int) -> Any:
    def change() -> tuple[str, str, str]:
        return "dropped statement", _piece(node.body.pop(place)), "nothing"

    return change


def _piece(node: ast.AST) -> str:
    return ast.unparse(node).split("\n")[0]
