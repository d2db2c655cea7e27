"""What people say, in verdict files: labels, gold, agreement; judged on people whose agreement is set."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError
from fare_cli.meta.bootstrap import Estimate
from fare_cli.report.text import text_lines
from fare_cli.review.agreement import agreement
from fare_cli.review.merging import Merged, People, write_merged
from fare_cli.run.manifest import read_manifest
from fare_cli.studies.evaluate import evaluate
from fare_cli.studies.evaluating.calibrating import fit_calibration
from fare_cli.studies.evaluating.kept import read_kept
from fare_cli.verdicts import Verdict
from tests.review.making import event, labels_of_people, lines, write_reviews, write_verdicts
from tests.simulating import DIRECT, annotators, answers, judged, pairs, scored, solutions


def without_gold(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "gold"} for record in records]


def report(verdicts: list[Verdict], people: People) -> Any:
    return agreement(verdicts, people, "v.jsonl")


def row(found: Any, table: str, *first: Any) -> Any:
    rows = next(one.rows for one in found.tables if one.name == table)
    return next(cells for cells in rows if cells[: len(first)] == first)


def test_agreement_of_people_whose_agreement_is_set_is_recovered(tmp_path: Path) -> None:
    """People right in 90% and 75%, a judge right in 80%, all about the same truth and independent."""
    records, draw = pairs(600), random.Random(3)
    verdicts = judged("pairwise", without_gold(records), accuracy=0.8, seed=4)
    events = []
    for number, verdict in enumerate(verdicts):
        right, wrong = ("A", "B") if number % 2 else ("B", "A")
        for name, accuracy in (("Ada", 0.9), ("Bob", 0.75)):
            events.append(event(verdict, name, right if draw.random() < accuracy else wrong, minute=number))
    found = report(verdicts, People.of(events))
    for cells, true in (
        (row(found, "judge-and-person", "Ada")[3:], 0.8 * 0.9 + 0.2 * 0.1),
        (row(found, "judge-and-person", "Bob")[3:], 0.8 * 0.75 + 0.2 * 0.25),
        (row(found, "person-and-person", "Ada", "Bob")[3:], 0.9 * 0.75 + 0.1 * 0.25),
    ):
        same, kappa = cells
        assert same.interval.low <= true <= same.interval.high
        # Both labels are equally frequent, so that half would be the same by chance.
        assert isinstance(kappa, Estimate)
        assert kappa.interval is not None
        assert kappa.interval.low <= 2 * true - 1 <= kappa.interval.high
    assert {"people", "alternative-annotator"} <= {one.name for one in found.tables}
    assert not found.warnings
    assert len(next(one.rows for one in found.tables if one.name == "differences")) == 50


def test_scores_have_a_mean_difference(tmp_path: Path) -> None:
    verdicts = judged("score", without_gold(scored(100)))
    events = [event(verdict, "Ada", str(min(int(verdict.verdict or 0) + 1, 5))) for verdict in verdicts]
    cells = row(report(verdicts, People.of(events)), "judge-and-person", "Ada")
    assert cells[3].cases == 20
    assert cells[4].value > 0.5
    assert cells[5].value == pytest.approx(-0.8)


def test_one_person_undecided_pairs_and_ties(tmp_path: Path) -> None:
    verdicts = judged("pairwise", without_gold(pairs(40)), position_bias=1.5, noise=1.0, seed=2)
    undecided = sum(one.verdict is None for one in verdicts)
    assert undecided > 3
    found = report(verdicts, People.of(event(one, "Ada", "tie") for one in verdicts))
    assert row(found, "judge-and-person", "Ada")[1:3] == (40, undecided)
    assert row(found, "judge-and-person", "Ada")[3].cases == 0
    assert not any(one.name in ("people", "person-and-person") for one in found.tables)
    assert "tie" in "\n".join(text_lines(found))


def test_only_blind_verdicts_are_evidence_and_the_rest_is_said(tmp_path: Path) -> None:
    verdicts = judged("verify", without_gold(answers(4)))
    events = [
        event(verdicts[0], "Ada", "no"),
        event(verdicts[0], "Ada", "yes", minute=1, blind=False),
        event(verdicts[1], "Ada", "yes", blind=False),
        event(verdicts[2], "Ada", "yes"),
        event(verdicts[2], "Ada", None, minute=2),
    ]
    people = People.of(events)
    found = report(verdicts, people)
    assert row(found, "judge-and-person", "Ada")[1] == 1
    assert any("1 verdicts of people were given after" in text for text in found.warnings)
    assert any("few records" in text for text in found.warnings)
    nobody = report(verdicts, People.of(events[2:3]))
    assert any("nobody gave a verdict" in text for text in nobody.warnings)


def test_that_only_unsure_records_were_looked_at_is_said(tmp_path: Path) -> None:
    verdicts = judged("verify", answers(100), accuracy=0.75, calibration=1.0, seed=1)
    by_sureness = sorted(verdicts, key=lambda one: one.confidence or 0)
    events = [event(one, "Ada", one.verdict) for one in by_sureness[:40]]
    assert any("less sure of the records" in text for text in report(verdicts, People.of(events)).warnings)
    every = [event(one, "Ada", one.verdict) for one in verdicts]
    assert not report(verdicts, People.of(every)).warnings


def test_a_merged_file_has_labels_gold_and_what_is_right_by_it(tmp_path: Path) -> None:
    kept = write_verdicts(tmp_path / "v.jsonl", judged("verify", without_gold(answers(5))))
    verdicts = judged("verify", without_gold(answers(5)))
    given = [
        {"Ada": "yes", "Bob": "yes", "Cyd": "no"},
        {"Ada": "yes", "Bob": "no"},
        {"Ada": "no"},
        {},
        {"Ada": "no", "Bob": "no"},
    ]
    people = People.of(labels_of_people(verdicts, given))
    counts = write_merged(kept, people, tmp_path / "m.jsonl")
    merged = lines(tmp_path / "m.jsonl")
    assert [one["gold"] for one in merged] == ["yes", None, "no", None, "no"]
    assert [one["record"].get("gold") for one in merged] == ["yes", None, "no", None, "no"]
    assert [one["record"].get("annotations", {}) for one in merged] == given
    # The judge is right: every second answer is.
    said = [one["verdict"] for one in merged]
    assert said == ["no", "yes", "no", "yes", "no"]
    assert [one["correct"] for one in merged] == [False, None, True, None, True]
    assert counts == Merged(records=5, reviewed=4, strangers=0, gold_before=0, gold_after=3)
    assert read_manifest(tmp_path / "m.jsonl") is None


@pytest.mark.parametrize(
    ("task", "records", "labels", "gold"),
    [
        ("pairwise", pairs(2), ("B", "B"), "B"),
        ("pairwise", pairs(2), ("tie", "tie"), "tie"),
        ("step", solutions(2), ("2", "2"), 2),
        ("score", scored(2), ("4", "5"), 4.5),
        ("score", scored(2), ("3", "5"), 4),
    ],
)
def test_gold_of_every_task_is_what_its_records_have(
    tmp_path: Path, task: str, records: Any, labels: tuple[str, str], gold: Any
) -> None:
    verdicts = judged(task, without_gold(records))
    kept = write_verdicts(tmp_path / "v.jsonl", verdicts)
    people = People.of(event(verdicts[0], name, label) for name, label in zip(("Ada", "Bob"), labels, strict=True))
    write_merged(kept, people, tmp_path / "m.jsonl")
    first, second = lines(tmp_path / "m.jsonl")
    assert first["gold"] == gold
    assert second["gold"] is None
    # As the task itself says it of a record with this gold.
    assert first["correct"] == judged(task, [{**without_gold(records)[0], "gold": gold}])[0].correct
    assert evaluate(map(Verdict.model_validate, (first, second))).tables


def test_known_gold_and_annotators_stay(tmp_path: Path) -> None:
    records = [{**record, "annotations": {"first": "yes"}} for record in answers(1)]
    verdicts = judged("verify", records)
    kept = write_verdicts(tmp_path / "v.jsonl", verdicts)
    write_merged(kept, People.of([event(verdicts[0], "Ada", "yes")]), tmp_path / "m.jsonl")
    (merged,) = lines(tmp_path / "m.jsonl")
    assert merged["gold"] == "no"
    assert merged["record"]["annotations"] == {"first": "yes", "Ada": "yes"}


def test_what_is_about_other_words_or_no_label_is_not_taken(tmp_path: Path) -> None:
    verdicts = judged("step", without_gold(solutions(2)))
    kept = write_verdicts(tmp_path / "v.jsonl", verdicts)
    other = event(verdicts[0], "Ada", "1", content="0" * 16)
    assert write_merged(kept, People.of([other, event(verdicts[1], "Ada", "0")]), tmp_path / "m.jsonl").strangers == 1
    assert lines(tmp_path / "m.jsonl")[0] == lines(kept)[0]
    with pytest.raises(InputError, match="none of the 1 reviewed records is in"):
        write_merged(kept, People.of([other]), tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
    with pytest.raises(InputError, match='record s1: Ada said "9"'):
        write_merged(kept, People.of([event(verdicts[1], "Ada", "9")]), tmp_path / "bad.jsonl")
    assert not (tmp_path / "bad.jsonl").exists()


def test_overlapping_files_of_several_people_are_one(tmp_path: Path) -> None:
    verdicts = judged("verify", without_gold(answers(3)))
    ada = [event(verdicts[0], "Ada", "no"), event(verdicts[0], "Ada", "yes", minute=3)]
    files = [
        write_reviews(tmp_path / "a.jsonl", [*ada, event(verdicts[1], "Ada", "no")]),
        write_reviews(tmp_path / "b.jsonl", [event(verdicts[0], "Bob", "yes"), ada[0]]),
    ]
    people = People.read(files)
    assert people.reviewers == ("Ada", "Bob")
    write_merged(write_verdicts(tmp_path / "v.jsonl", verdicts), people, tmp_path / "m.jsonl")
    assert lines(tmp_path / "m.jsonl")[0]["record"]["annotations"] == {"Ada": "yes", "Bob": "yes"}


def test_people_give_the_gold_that_a_judge_is_calibrated_on(tmp_path: Path) -> None:
    faults = {"accuracy": 0.75, "calibration": 2.5, "seed": 5}
    verdicts = judged("pairwise", without_gold(pairs(400)), DIRECT, **faults)
    people = People.of(labels_of_people(verdicts, annotators(400, 3, accuracy=0.97)))
    kept = write_verdicts(tmp_path / "v.jsonl", verdicts)
    write_merged(kept, people, tmp_path / "m.jsonl")
    found = fit_calibration([read_kept(tmp_path / "m.jsonl")], "temperature")
    assert 1.7 < found.calibration.mending.temperature < 3.5  # type: ignore[union-attr]
