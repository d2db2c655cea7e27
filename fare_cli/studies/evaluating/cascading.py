"""Thresholds of a cascade learnt from what each of its stages said of the same records, and what they are worth.

The candidates are tried from the most careful one down, and the first that is not shown to be good enough ends it
(fixed-sequence testing, as in Angelopoulos et al. 2021, "Learn then test", arXiv 2110.01052): so the threshold that is
taken is right with the confidence that was asked for, however many there were to choose from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fare_cli.errors import InputError
from fare_cli.identity import JudgeIdentity, JudgingOptions, Thresholds
from fare_cli.meta.agreement import CONFIDENCE
from fare_cli.meta.clusters import Clusters, clustered_proportion
from fare_cli.meta.noninferiority import is_no_worse
from fare_cli.report.model import Column, Plot, Point, Series, Table, Value
from fare_cli.studies.evaluating.case import Case, clusters_of
from fare_cli.studies.evaluating.parts import Part
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.tasks.cascade import stage_thresholds
from fare_cli.thresholds import LearntThresholds, stage_identities
from fare_cli.verdicts import Stage

#: How much less often the cascade may be right than its last stage, unless another share is asked for.
TOLERANCE = 0.02
#: Certainties that are tried, the most careful first.
CANDIDATES = (
    0.9999, 0.9995, 0.999, 0.995, 0.99, 0.98, 0.97, 0.96, 0.95, 0.925, 0.9, 0.875, 0.85, 0.825, 0.8, 0.775, 0.75,
    0.725, 0.7, 0.675, 0.65, 0.625, 0.6, 0.575, 0.55, 0.525, 0.5, 0.45, 0.4, 0.35, 0.3,
)  # fmt: skip
# Of these a plot tries every pair, passing over the stage included; the least is one that every certainty reaches
# unless the orders of a pair differ.
_DRAWN = (0.99, 0.97, 0.95, 0.925, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 1e-6)
_STAGES: tuple[Stage, ...] = ("direct", "critique", "votes")
_MODES = "give a verdict file of --mode direct, one of --mode critique, and maybe one of --votes auto"


class Learnt(NamedTuple):
    """Thresholds, and what a report says of them; `warnings` are read first."""

    thresholds: LearntThresholds
    parts: list[Part]
    warnings: list[str]


class _Said(NamedTuple):
    """What one stage said of a record. `tokens` are those of prompts and those generated."""

    certainty: float
    right: bool
    tokens: tuple[int, int]


class _Outcome(NamedTuple):
    """What a cascade comes to on the records: who decided, whether it was right, and what it cost."""

    decided_by: list[Stage]
    right: list[bool]
    prompt_tokens: float
    generated_tokens: float

    @property
    def tokens(self) -> float:
        """A record's, on average."""
        return self.prompt_tokens + self.generated_tokens

    @property
    def accuracy(self) -> float:
        return sum(self.right) / len(self.right)


class _Records(NamedTuple):
    """The records that every stage has judged, and that have gold: what each stage said, in order of the records."""

    options: JudgingOptions
    said: Mapping[Stage, list[_Said]]
    clusters: Clusters

    @property
    def last(self) -> Stage:
        return list(self.said)[-1]

    def outcome(self, thresholds: Thresholds) -> _Outcome:
        """The cascade with these thresholds."""
        asked = stage_thresholds(replace(self.options, thresholds=thresholds))
        return self.through(asked)

    def through(self, asked: Mapping[Stage, float]) -> _Outcome:
        """Records through these stages, each deciding from its certainty on."""
        decided_by: list[Stage] = []
        right: list[bool] = []
        spent = [0, 0]
        for record in range(len(self.said[self.last])):
            for stage, threshold in asked.items():
                said = self.said[stage][record]
                spent = [before + more for before, more in zip(spent, said.tokens, strict=True)]
                if said.certainty >= threshold:
                    break
            decided_by.append(stage)
            right.append(said.right)
        return _Outcome(decided_by, right, spent[0] / len(right), spent[1] / len(right))


def learn_thresholds(
    sets: Sequence[VerdictSet], *, tolerance: float = TOLERANCE, confidence: float = CONFIDENCE
) -> Learnt:
    """From which certainty on the stages of a cascade may decide: the least tokens at which it is shown to be right at
    most `tolerance` less often than its last stage.

    `sets` are the verdicts of each stage on the same records, with what their manifests say of the judges: direct,
    critique, and maybe votes. Raises InputError for sets that are not such stages, or have no records in common with
    gold.
    """
    judges, by_stage = _stages(sets)
    records = _records(judges, by_stage)
    thresholds = _learnt(records, tolerance, confidence)
    made = LearntThresholds(
        task=sets[0].task,
        stages={name: judge.to_json() for name, judge in stage_identities(judges).items()},
        direct=thresholds.direct,
        critique=thresholds.critique,
        tolerance=tolerance,
        confidence=confidence,
        records=len(records.said[records.last]),
        clusters=len(set(records.clusters or ())),
    )
    return Learnt(made, [_table(records, made, learnt_here=True), _plot(records, thresholds)], _warnings(made))


def cascade_parts(sets: Sequence[VerdictSet], learnt: LearntThresholds) -> list[Part]:
    """What a cascade with thresholds learnt elsewhere comes to on the records of these stages, against each stage for
    all records. Raises InputError for sets that are no such stages."""
    judges, by_stage = _stages(sets)
    records = _records(judges, by_stage)
    thresholds = Thresholds(learnt.direct, learnt.critique)
    return [_table(records, learnt, learnt_here=False), _plot(records, thresholds)]


def _stages(sets: Sequence[VerdictSet]) -> tuple[JudgeIdentity, dict[Stage, VerdictSet]]:
    """The cascade whose stages gave these verdicts, and the sets by stage. Raises InputError where there is none."""
    found: dict[Stage, VerdictSet] = {}
    for one in sets:
        if not one.identity:
            raise InputError(f"{one.name}: no manifest beside the file says whose verdicts they are", _MODES)
        options = _options(one.identity)
        stage: Stage = "direct" if options.mode == "direct" else "votes" if options.several_votes else "critique"
        if options.mode == "auto":
            raise InputError(f"{one.name}: verdicts of a cascade, which did not ask every stage", _MODES)
        if stage in found:
            raise InputError(f"{found[stage].name} and {one.name} are both of the stage {stage}", _MODES)
        found[stage] = one
    if missing := {"direct", "critique"} - found.keys():
        raise InputError(f"there are no verdicts of the stage {' and '.join(sorted(missing))}", _MODES)
    ordered = {stage: found[stage] for stage in _STAGES if stage in found}
    last = list(ordered.values())[-1].identity
    cascade = JudgeIdentity(
        task=last["task"],
        model=last["model"],
        weights=last["weights"],
        prompts=last["prompts"],
        prompts_origin=last["prompts_origin"],
        options=replace(_options(last), mode="auto"),
    )
    for stage, identity in stage_identities(cascade).items():
        if identity.fingerprint != ordered[stage].identity.get("fingerprint"):
            differing = identity.differing(ordered[stage].identity)
            raise InputError(
                f"{ordered[stage].name}: not the stage {stage} of the judge that gave the last one's verdicts "
                f"({differing})",
                "judge with the same model, prompts and options; critiques without votes are greedy (--temperature 0)",
            )
    return cascade, ordered


def _options(identity: Mapping[str, Any]) -> JudgingOptions:
    given = identity.get("options") or {}
    return JudgingOptions(
        **{name: given[name] for name in JudgingOptions.__slots__ if name in given and name != "thresholds"}
    )


def _records(judge: JudgeIdentity, sets: Mapping[Stage, VerdictSet]) -> _Records:
    by_id = {
        stage: {case.id: case for case in one.cases if case.invalid is None and case.correct is not None}
        for stage, one in sets.items()
    }
    first, *others = by_id.values()
    ids = [id for id, case in first.items() if all(_is_same(case, other.get(id)) for other in others)]
    if not ids:
        raise InputError("no record with gold was judged by every stage", "judge the same records in each mode")
    clusters = clusters_of([first[id] for id in ids])
    said = {stage: [_of_case(cases[id]) for id in ids] for stage, cases in by_id.items()}
    return _Records(judge.options, said, clusters)


def _is_same(case: Case, other: Case | None) -> bool:
    return other is not None and (None in (case.content, other.content) or case.content == other.content)


def _of_case(case: Case) -> _Said:
    certainty = 0.0 if case.consistent is False else case.confidence or 0.0
    return _Said(certainty, bool(case.correct), (case.usage.prompt_tokens, case.usage.generated_tokens))


def _learnt(records: _Records, tolerance: float, confidence: float) -> Thresholds:
    """The threshold of the direct stage first, since it saves most, with half of what may be lost where the critique
    may lose some, too; then that of the critique with all of it."""
    nothing = Thresholds(direct=None, critique=None)
    if records.last == "critique":
        return _lowest(records, nothing, "direct", tolerance, confidence)
    # Two choices are made, each with half of the error.
    each = 1 - (1 - confidence) / 2
    direct = _lowest(records, nothing, "direct", tolerance / 2, each)
    return _lowest(records, direct, "critique", tolerance, each)


def _lowest(records: _Records, thresholds: Thresholds, stage: Stage, tolerance: float, confidence: float) -> Thresholds:
    """The thresholds with the cheapest one for `stage` that is shown to be good enough; unchanged if none is, or none
    saves tokens."""
    best, tokens = thresholds, records.outcome(thresholds).tokens
    reference = [said.right for said in records.said[records.last]]
    for candidate in CANDIDATES:
        tried = replace(thresholds, **{stage: candidate})
        outcome = records.outcome(tried)
        if not is_no_worse(reference, outcome.right, tolerance, records.clusters, confidence=confidence):
            break
        if outcome.tokens < tokens:
            best, tokens = tried, outcome.tokens
    return best


def _cascades(records: _Records, learnt: Thresholds) -> list[tuple[str, _Outcome]]:
    """Every stage alone, the cascade as it was learnt, and as it is without that."""
    stages: list[tuple[str, _Outcome]] = [(f"always {stage}", records.through({stage: 0.0})) for stage in records.said]
    return [*stages, ("learnt", records.outcome(learnt)), ("unlearnt (fare's own)", records.outcome(Thresholds()))]


def _table(records: _Records, made: LearntThresholds, *, learnt_here: bool) -> Table:
    columns = (
        Column("judge", "judge"),
        Column("direct_from", "direct from"),
        Column("critique_from", "critique from"),
        Column("accuracy", "accuracy"),
        Column("prompt_tokens", "prompt tokens"),
        Column("generated_tokens", "generated tokens"),
        *(Column(f"decided_{stage}", f"{stage} decides") for stage in records.said),
    )
    own = Thresholds()
    shown: dict[str, tuple[Value, Value]] = {
        "learnt": (made.direct, made.critique),
        "unlearnt (fare's own)": (own.direct, own.critique if "votes" in records.said else None),
    }
    rows = [
        (
            name,
            *shown.get(name, (None, None)),
            clustered_proportion(outcome.right, records.clusters),
            outcome.prompt_tokens,
            outcome.generated_tokens,
            *(outcome.decided_by.count(stage) / len(outcome.right) for stage in records.said),
        )
        for name, outcome in _cascades(records, Thresholds(made.direct, made.critique))
    ]
    note = (
        "Tokens are a record's on average, those of a prompt counted for each ask. A stage decides from the certainty "
        f"on that stands under it; a dash: it is not asked. Learnt so that with {made.confidence:.0%} confidence the "
        f"cascade is right at most {made.tolerance:.1%} less often than {records.last} alone. "
        + (
            "These are the records that it was learnt on: look at other ones for how good it is."
            if learnt_here
            else f"It was learnt on {made.records} other records."
        )
    )
    return Table("cascade", "the cascade and its stages", columns, tuple(rows), note)


def _plot(records: _Records, learnt: Thresholds) -> Plot:
    """Accuracy by tokens: the stages alone, the learnt cascade, and the best that thresholds could do."""

    def point(outcome: _Outcome, label: str) -> Point:
        found = clustered_proportion(outcome.right, records.clusters)
        return Point(outcome.tokens, found.share or 0.0, *found.interval, label)

    stages = tuple(point(records.through({stage: 0.0}), stage) for stage in records.said)
    front = tuple(Point(one.tokens, one.accuracy) for one in _front(records))
    return Plot(
        "cascade-plot",
        "accuracy by tokens of a record",
        "tokens of a record, prompts and generated",
        "accuracy",
        (
            Series("one stage for all", stages),
            Series("cascades that no other beats", front, "line"),
            Series("cascade as learnt", (point(records.outcome(learnt), "learnt"),)),
        ),
        note="Up and to the left is better. The line joins the cascades, by whatever thresholds, that no other one "
        "beats in both on these records; it is chosen by these very records, and so flatters.",
    )


def _front(records: _Records) -> list[_Outcome]:
    """The cascades that no other beats in both tokens and accuracy, the cheapest first."""
    wanted = (None, *_DRAWN)
    critiques = wanted if records.last == "votes" else (None,)
    tried = [records.outcome(Thresholds(direct, critique)) for direct in wanted for critique in critiques]
    front: list[_Outcome] = []
    for one in sorted(tried, key=lambda one: (one.tokens, -one.accuracy)):
        if not front or one.accuracy > front[-1].accuracy:
            front.append(one)
    return front


def _warnings(made: LearntThresholds) -> list[str]:
    shown = {"direct": made.direct}
    if "votes" in made.stages:
        shown["critique"] = made.critique
    idle = [stage for stage, threshold in shown.items() if threshold is None]
    if not idle:
        return []
    return [
        f"{' and '.join(idle)}: no threshold is shown to keep the accuracy within {made.tolerance:.1%} of the last "
        f"stage's and to save tokens, so it is not asked; {made.records} records with gold were there to show it"
    ]
