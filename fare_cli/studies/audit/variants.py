"""The variants of judged records: what is asked next, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fare_cli.asks import Ask, Reply
from fare_cli.identity import JudgingOptions
from fare_cli.prompting import TaskPrompt
from fare_cli.records import Record, Verdict
from fare_cli.studies.audit.favour import spot_of
from fare_cli.studies.audit.perturbation import Perturbation, Side
from fare_cli.studies.audit.planting import Planting
from fare_cli.tasks import Task

_UNTOUCHED = "untouched"


class Base(NamedTuple):
    """A record as the user has it, and the verdict on it."""

    record: Record
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Variant:
    """One perturbed record. `record` has an id of its own, `RECORD/perturbation/copy`; `task` asks about it in another
    way, None for the usual one. `side` is where an attack on a pair stands."""

    base: Base
    perturbation: Perturbation
    record: Record
    side: Side
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class PlantedVariant:
    """One record with a planted error. `untouched` is the same without it, to be asked too; None where that is the base
    itself, or a pair, which holds both."""

    base: Base
    planting: Planting
    record: Record
    untouched: Record | None = None


def both_orders(base: Base) -> bool:
    """Whether the verdict came from both orders of a pair, which already holds what the swapped record would say."""
    return {judgment.order for judgment in base.verdict.judgments} == {"ab", "ba"}


def variants_of(base: Base, perturbations: Sequence[Perturbation], task: Task, seed: int) -> Iterator[Variant]:
    """Every variant of a record. An order swap is left out where both orders were asked, see `both_orders`."""
    for one in perturbations:
        if base.record.task not in one.tasks or (one.effect == "swap" and both_orders(base)):
            continue
        side = spot_of(one.placement, base.record, base.verdict)
        if side is None:
            continue
        for copy in range(one.copies):
            name = f"{base.record.id}/{one.name}/{copy}"
            if one.asks is not None:
                asked = one.asks(task, copy)
                if asked is not None and _can_ask(asked, base.record):
                    yield Variant(base, one, base.record.with_id(name), side, asked)
            elif (changed := one.apply(base.record, seed, side=side, copy=copy)) is not None:
                yield Variant(base, one, changed.with_id(name), side)


def _can_ask(task: Task, record: Record) -> bool:
    """Whether the prompts allow this way to ask."""
    try:
        task.step(record, {})
    except ValueError:
        return False
    return True


def planted_of(base: Base, plantings: Sequence[Planting], seed: int) -> Iterator[PlantedVariant]:
    """Every planted error of a record. A score that is the lowest already is left out: it cannot fall."""
    if base.record.task == "score" and spot_of("favoured", base.record, base.verdict) is None:
        return
    for one in plantings:
        planted = one.apply(base.record, seed)
        if planted is None:
            continue
        untouched = planted.untouched
        if untouched is not None and untouched.content_id() == base.record.content_id():
            untouched = None
        elif untouched is not None:
            untouched = untouched.with_id(f"{base.record.id}/{_UNTOUCHED}/0")
        yield PlantedVariant(base, one, planted.record.with_id(f"{base.record.id}/{one.name}/0"), untouched)


@dataclass(frozen=True, slots=True)
class Routed:
    """A task that asks about some records, by id, in a way of their own; it asks about all others as `usual` does."""

    usual: Task
    ways: Mapping[str, Task]

    @property
    def name(self) -> str:
        return self.usual.name

    @property
    def prompt(self) -> TaskPrompt:
        return self.usual.prompt

    @property
    def options(self) -> JudgingOptions:
        return self.usual.options

    def step(self, record: Record, replies: Mapping[str, Reply]) -> list[Ask] | Verdict:
        return self.ways.get(record.id, self.usual).step(record, replies)
