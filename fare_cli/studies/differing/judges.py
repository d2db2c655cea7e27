"""What tells two judges apart, part by part: weights, prompts, settings, calibration, engine, version of fare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fare_cli.identity import JudgeIdentity
from fare_cli.report.model import Column, Table
from fare_cli.run.manifest import Manifest

# As many digits of a checksum as nobody mistakes for another one.
_DIGITS = 12
# Where prompts come from can be a paragraph.
_ORIGIN = 50
# What an engine says of the weights, which are a part of their own, and of where its settings come from.
_NOT_OF_ENGINE = frozenset({"model", "template", "tuned"})


@dataclass(frozen=True, slots=True)
class KnownJudge:
    """What is known of who gave some verdicts.

    `fingerprints` are those in the verdicts. `identity`, `engines` (all that replies came from) and the version of
    `fare` are what the manifest says; empty without one.
    """

    fingerprints: tuple[str, ...]
    identity: Mapping[str, Any] = field(default_factory=dict)
    engines: Sequence[Mapping[str, Any]] = ()
    fare: str = ""

    @classmethod
    def of(cls, fingerprints: Sequence[str], manifest: Manifest | None) -> KnownJudge:
        """The judge of verdicts with these fingerprints, beside which a manifest lies. What it says of another judge is
        left out: then the verdicts were changed, or another run's manifest was put there."""
        found = tuple(dict.fromkeys(fingerprints))
        if manifest is None or found != (manifest.judge.get("fingerprint"),):
            return cls(found)
        return cls(found, manifest.judge, manifest.engines, manifest.fare)

    @property
    def weights(self) -> str | None:
        """Checksums of model and adapter; None where they are not known."""
        return self.identity.get("weights")


class JudgePart(NamedTuple):
    """A part of two judges. `same` is None where nobody knows; `before` and `after` say what each has, for people."""

    part: str
    same: bool | None
    before: str
    after: str


def judge_parts(before: KnownJudge, after: KnownJudge) -> list[JudgePart]:
    """Every part of two judges, whether it is the same or not."""
    return [*_identity_parts(before, after), _engine(before, after), _fare(before, after)]


def differing(parts: Sequence[JudgePart]) -> list[str]:
    """The parts that are not the same."""
    return [one.part for one in parts if one.same is False]


def unknown(parts: Sequence[JudgePart]) -> list[str]:
    """The parts of which it is not known whether they are the same."""
    return [one.part for one in parts if one.same is None]


def judges_table(parts: Sequence[JudgePart], names: tuple[str, str]) -> Table:
    """A row for each part."""
    words = {True: "yes", False: "no", None: "not known"}
    columns = (
        Column("part", "part"),
        Column("same", "the same"),
        Column("before", names[0]),
        Column("after", names[1]),
    )
    rows = tuple((one.part, words[one.same], one.before, "the same" if one.same else one.after) for one in parts)
    note = "Of settings and engine only what differs is shown." if "engine" in differing(parts) else ""
    return Table("judges", "Who judged", columns, rows, note)


def _identity_parts(before: KnownJudge, after: KnownJudge) -> Iterator[JudgePart]:
    one, other = before.identity, after.identity
    if not (one and other):
        yield _by_fingerprint(before, after)
        return
    yield JudgePart("weights", before.weights == after.weights, _weights(one), _weights(other))
    yield JudgePart("prompts", one.get("prompts") == other.get("prompts"), _prompts(one), _prompts(other))
    settings = _settings(one, other)
    yield JudgePart("settings", settings == ({}, {}), *map(_in_words, settings))
    mended = one.get("calibration"), other.get("calibration")
    if mended != (None, None):
        yield JudgePart("calibration", mended[0] == mended[1], mended[0] or "none", mended[1] or "none")


def _by_fingerprint(before: KnownJudge, after: KnownJudge) -> JudgePart:
    """All that a fingerprint can tell: everything in it is the same, or something is not."""
    shown = tuple(" ".join(one.fingerprints[:2]) + " ..." * (len(one.fingerprints) > 2) for one in (before, after))
    if len(before.fingerprints) != 1 or len(after.fingerprints) != 1:
        return JudgePart("weights, prompts or settings", None, *shown)
    if before.fingerprints == after.fingerprints:
        return JudgePart("weights, prompts and settings", True, *shown)
    return JudgePart("weights, prompts or settings", False, *shown)


def _weights(identity: Mapping[str, Any]) -> str:
    parts = str(identity.get("weights", "")).split("+")
    short = " + ".join(part[: part.rfind(":") + 1 + _DIGITS] for part in parts)
    return f"{identity.get('model')} ({short})"


def _prompts(identity: Mapping[str, Any]) -> str:
    origin = str(identity.get("prompts_origin", ""))
    short = origin if len(origin) <= _ORIGIN else origin[: _ORIGIN - 3] + "..."
    return f"{identity.get('prompts')}: {short}"


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that differ and matter; those of another version of fare are compared as they stand."""
    try:
        both = _effective(one), _effective(other)
    except TypeError:
        both = dict(one.get("options") or {}), dict(other.get("options") or {})
    return _apart(*both)


def _effective(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The options that matter, of a panel its rule and those of each member. Raises TypeError for unknown ones."""
    panel = identity.get("panel")
    if panel is None:
        return JudgeIdentity.from_json(identity).effective_options()
    of_members = {
        f"member {number} {name}": value
        for number, member in enumerate(panel["members"], start=1)
        for name, value in _effective(member).items()
    }
    return {"rule": panel["rule"], **of_members}


def _engine(before: KnownJudge, after: KnownJudge) -> JudgePart:
    if not (before.engines and after.engines):
        return JudgePart("engine", None, *("" if one.engines else "not known" for one in (before, after)))
    if len(before.engines) > 1 or len(after.engines) > 1:
        counts = (f"{len(one.engines)} engines" if len(one.engines) > 1 else "one engine" for one in (before, after))
        return JudgePart("engine", None, *counts)
    apart = _apart(
        *(
            {name: value for name, value in one.engines[0].items() if name not in _NOT_OF_ENGINE}
            for one in (before, after)
        )
    )
    # What the CPU can do is a paragraph of flags.
    shown = [
        {name: "other build or CPU" if name == "system" else value for name, value in side.items()} for side in apart
    ]
    return JudgePart("engine", apart == ({}, {}), *map(_in_words, shown))


def _fare(before: KnownJudge, after: KnownJudge) -> JudgePart:
    known = bool(before.fare and after.fare)
    return JudgePart("fare", before.fare == after.fare if known else None, before.fare, after.fare)


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What two mappings have under the same name and not alike, and what only one has."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    return {name: one.get(name) for name in names}, {name: other.get(name) for name in names}


def _in_words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {'-' if value is None else value}" for name, value in values.items())
