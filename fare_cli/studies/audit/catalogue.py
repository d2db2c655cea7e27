"""All perturbations, and the choice among them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from fare_cli.errors import UsageError
from fare_cli.studies.audit.confidence import CONFIDENCE
from fare_cli.studies.audit.form import FORM
from fare_cli.studies.audit.injection import INJECTION
from fare_cli.studies.audit.language import LANGUAGE
from fare_cli.studies.audit.order import ORDER
from fare_cli.studies.audit.paraphrase import PARAPHRASE
from fare_cli.studies.audit.perturbation import KINDS, Perturbation
from fare_cli.studies.audit.planting import PLANTED, Planting
from fare_cli.studies.audit.scale import SCALE

PERTURBATIONS: tuple[Perturbation, ...] = (*ORDER, *FORM, *CONFIDENCE, *INJECTION, *LANGUAGE, *SCALE, *PARAPHRASE)
PLANTED_KIND = "planted"
"""The class of the planted errors, beside those of the perturbations."""

_ALL: tuple[Perturbation | Planting, ...] = (*PERTURBATIONS, *PLANTED)

NAMES = (*(one.name for one in _ALL), *KINDS, PLANTED_KIND)


class Chosen(NamedTuple):
    """What an audit tries."""

    perturbations: tuple[Perturbation, ...]
    plantings: tuple[Planting, ...]


def choose(only: Sequence[str] = ()) -> Chosen:
    """The perturbations and planted errors of these names or classes; all for none.

    Paraphrases are always among them, since they are the noise that the others are compared with. Raises UsageError
    for a name that is neither.
    """
    for name in only:
        check_name("--only", name)
    wanted = set(only)
    perturbations = [
        one for one in PERTURBATIONS if not wanted or {one.name, one.kind} & wanted or one.kind == "paraphrase"
    ]
    planted = [one for one in PLANTED if not wanted or {one.name, PLANTED_KIND} & wanted]
    return Chosen(tuple(perturbations), tuple(planted))


def listing() -> list[dict[str, str]]:
    """All perturbations and planted errors in words: name, class, effect, placement, tasks and description."""
    rows: list[tuple[str, ...]] = [
        (one.name, one.kind, one.effect, one.placement, ", ".join(one.tasks), one.description) for one in PERTURBATIONS
    ]
    rows += [
        (one.name, PLANTED_KIND, "to be noticed", "right answers", ", ".join(one.tasks), one.description)
        for one in PLANTED
    ]
    columns = ("name", "class", "effect", "placement", "tasks", "description")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def named(name: str) -> Perturbation | Planting:
    """The perturbation or planted error of that name. Raises UsageError."""
    for one in _ALL:
        if one.name == name:
            return one
    raise _unknown("--show", name, [one.name for one in _ALL])


def check_name(option: str, name: str) -> None:
    """Raises UsageError for what is neither the name nor the class of a perturbation."""
    if name not in NAMES:
        raise _unknown(option, name, NAMES)


def _unknown(option: str, name: str, known: Sequence[str]) -> UsageError:
    like = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {like[0]}?" if like else "fare audit --list names them all"
    return UsageError(f"{option} {name}: there is no such perturbation", hint)
