"""What is said of two verdict files: simulated judges whose flips are known, and any two files of verdicts at all."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.errors import InputError
from fare_cli.identity import JudgingOptions
from fare_cli.report.markdown import markdown
from fare_cli.report.model import Report
from fare_cli.run.manifest import manifest_path
from fare_cli.studies.differing.difference import Difference, difference, read_side
from fare_cli.studies.differing.judges import KnownJudge, differing, judge_parts, unknown
from fare_cli.studies.differing.tables import MOST_SHOWN, report_on
from fare_cli.studies.evaluating.case import Case
from fare_cli.studies.judging import label_of
from fare_cli.studies.same_records import compare, join
from fare_cli.verdicts import Verdict, VerdictError
from tests.gate.making import judged_file
from tests.simulating import DIRECT, answers, judge, pairs, scored, solutions

Values = list[dict[str, Any]]


def files(folder: Path, task: str, records: Values, other: Values | None = None, **settings: Any) -> Difference:
    """How a judge with these settings differs from one without a fault."""
    before = judged_file(folder / "old.jsonl", task, records)
    after = judged_file(
        folder / "new.jsonl", task, records if other is None else other, by=judge(**{"options": DIRECT, **settings})
    )
    return difference(read_side(str(before)), read_side(str(after)))


def rows(report: Report, name: str) -> list[dict[str, Any]]:
    """The rows of a table by column; none where the report has no such table."""
    tables = [one for one in report.tables if one.name == name]
    return [dict(zip([c.name for c in one.columns], row, strict=True)) for one in tables for row in one.rows]


def figures(report: Report) -> dict[str, Any]:
    return {row["measure"]: row["value"] for row in rows(report, "changes")}


def lines(path: Path) -> list[Verdict]:
    return [Verdict.from_line(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("task", "records"), [("verify", answers(300)), ("pairwise", pairs(300))])
def test_set_flips_are_found_and_told_by_direction(tmp_path: Path, task: str, records: Values) -> None:
    found = files(tmp_path, task, records, accuracy=0.8)
    report = report_on(found)
    wrong = [one for one in lines(tmp_path / "new.jsonl") if not one.correct]
    assert 40 < len(wrong) < 80
    assert figures(report)["another verdict (flipped)"].cases == len(wrong)
    assert figures(report)["the same verdict"].cases == 300 - len(wrong)
    # The first judge is always right, so what became what is told by gold.
    told = {(row["before"], row["after"]): row["records"] for row in rows(report, "directions")}
    assert told == Counter((str(one.gold), label_of(one)) for one in wrong)
    assert report.title.startswith(f"{len(wrong)} of 300")
    assert found.comparison.kappa is not None
    assert found.comparison.kappa.interval is not None
    assert found.comparison.kappa.interval.low < 0.6 < found.comparison.kappa.interval.high


def test_records_that_differ_come_in_the_order_of_how_sure_both_were(tmp_path: Path) -> None:
    found = files(tmp_path, "verify", answers(300), accuracy=0.6)
    report = report_on(found)
    shown = rows(report, "records")
    sure = [min(row["sure_before"], row["sure_after"]) for row in shown]
    assert sure == sorted(sure, reverse=True)
    assert len(shown) == MOST_SHOWN < found.comparison.flips.cases
    assert shown[0]["question"].startswith("question ")
    assert shown[0]["place"].startswith(str(tmp_path / "old.in.jsonl"))
    everything = rows(report_on(found, show_all=True), "records")
    assert len(everything) == found.comparison.flips.cases
    assert everything[:MOST_SHOWN] == shown


def test_what_became_undecided_is_told_from_what_turned_round(tmp_path: Path) -> None:
    found = files(tmp_path, "pairwise", pairs(120), position_bias=1.8)
    report = report_on(found)
    undecided = sum(one.verdict is None for one in lines(tmp_path / "new.jsonl"))
    assert 20 < undecided < 110
    assert figures(report)["became a tie or undecided"].cases == undecided
    assert figures(report)["no longer a tie or undecided"].cases == 0
    assert {row["after"] for row in rows(report, "directions")} == {"undecided"}
    assert figures(report)["both orders agree, change"].value == pytest.approx(-undecided / 120)


def test_scores_and_steps_have_their_own_changes(tmp_path: Path) -> None:
    found = files(tmp_path, "score", scored(100), accuracy=0.7)
    mean = [sum(one.expected_score or 0 for one in lines(tmp_path / name)) / 100 for name in ("old.jsonl", "new.jsonl")]
    assert figures(report_on(found))["expected score, mean change"].value == pytest.approx(mean[1] - mean[0])
    (tmp_path / "step").mkdir()
    steps = files(tmp_path / "step", "step", solutions(100), accuracy=0.5)
    told = figures(report_on(steps))
    now = [(one.gold, one.step) for one in lines(tmp_path / "step" / "new.jsonl")]
    assert told["a step is held wrong now, none before"].cases == sum(gold == -1 != step for gold, step in now)
    assert told["no step is held wrong now, one before"].cases == sum(gold != -1 == step for gold, step in now)


def test_categories_are_told_apart(tmp_path: Path) -> None:
    easy = answers(60)
    records = [{**one, "category": "easy" if index < 30 else "hard"} for index, one in enumerate(easy)]
    found = files(tmp_path, "verify", records, accuracy=0.5)
    by_name = {row["category"]: row for row in rows(report_on(found), "categories")}
    assert {name: row["records"] for name, row in by_name.items()} == {"easy": 30, "hard": 30}
    assert sum(row["flips"].cases for row in by_name.values()) == found.comparison.flips.cases


def test_what_stands_in_one_file_or_has_changed_is_counted_and_named(tmp_path: Path) -> None:
    records = answers(30)
    other = [*records[1:20], {**records[20], "answer": "WRONG and reworded"}, *records[21:], *answers(31)[30:]]
    found = files(tmp_path, "verify", records, other)
    assert (len(found.joined.pairs), found.comparison.flips.of) == (28, 28)
    report = report_on(found)
    named = {row["id"]: row["why"] for row in rows(report, "not_compared")}
    assert named == {
        "v20-0": "another record under the same id",
        "v0-0": f"only in {tmp_path / 'old.jsonl'}",
        "v30-0": f"only in {tmp_path / 'new.jsonl'}",
    }
    assert report.facts["another record under the same id"] == 1


def test_another_gold_label_is_said_and_does_not_count(tmp_path: Path) -> None:
    records = answers(40)
    other = [
        {**one, "gold": "no" if one["gold"] == "yes" else "yes"} if n < 10 else one for n, one in enumerate(records)
    ]
    found = files(tmp_path, "verify", records, other)
    assert found.comparison.right_change is not None
    assert found.comparison.right_change.value == 0
    assert any("10 records have another gold label" in text for text in report_on(found).warnings)


def test_a_file_is_the_same_as_itself(tmp_path: Path) -> None:
    path = str(judged_file(tmp_path / "old.jsonl", "pairwise", pairs(20)))
    found = difference(read_side(path), read_side(path))
    assert (found.comparison.flips.cases, found.comparison.flips.of) == (0, 20)
    assert found.comparison.kappa is not None
    assert found.comparison.kappa.value == 1
    assert (differing(found.parts), unknown(found.parts)) == ([], [])
    report = report_on(found)
    assert report.title == "no verdict of 20 flipped"
    assert not [name for name in ("directions", "records", "not_compared") if rows(report, name)]


@pytest.mark.parametrize(
    ("options", "apart"),
    [
        (JudgingOptions(mode="direct", combine="mean"), ["settings"]),
        (JudgingOptions(mode="critique"), ["settings"]),
        # Changes nothing where nothing is generated.
        (JudgingOptions(mode="direct", max_tokens=7, seed=3), []),
    ],
)
def test_settings_that_differ_stand_at_the_head(tmp_path: Path, options: JudgingOptions, apart: list[str]) -> None:
    found = files(tmp_path, "pairwise", pairs(20), options=options)
    assert differing(found.parts) == apart
    first = report_on(found).tables[0]
    assert first.name == "judges"
    settings = {row["part"]: row for row in rows(report_on(found), "judges")}["settings"]
    assert settings["same"] == ("no" if apart else "yes")
    if options.combine == "mean":
        assert (settings["before"], settings["after"]) == ("combine agree", "combine mean")


def identity(**more: Any) -> dict[str, Any]:
    base = {"task": "verify", "model": "small", "weights": "sha256:aa", "prompts": "p1", "prompts_origin": "ours"}
    return {**base, "options": {"mode": "direct"}, "fingerprint": "f1", **more}


def panel(rule: str = "majority", **of_second: Any) -> dict[str, Any]:
    members = [identity(), identity(**of_second)]
    return {**identity(), "options": None, "panel": {"rule": rule, "members": members}}


@pytest.mark.parametrize(
    ("other", "apart"),
    [
        (panel(), []),
        (panel("probability"), ["settings"]),
        (panel(options={"mode": "critique"}), ["settings"]),
        (panel(options={"mode": "direct", "seed": 5}), []),
        (identity(), ["settings"]),
    ],
)
def test_panels_differ_by_their_rule_and_by_the_settings_of_their_members(
    other: dict[str, Any], apart: list[str]
) -> None:
    assert differing(judge_parts(KnownJudge(("f1",), panel()), KnownJudge(("f1",), other))) == apart


@pytest.mark.parametrize(
    ("other", "engine", "apart"),
    [
        (identity(weights="sha256:bb"), {}, ["weights"]),
        (identity(weights="sha256:aa+lora:sha256:cc"), {}, ["weights"]),
        (identity(prompts="p2"), {}, ["prompts"]),
        (identity(calibration="c1"), {}, ["calibration"]),
        (identity(options={"mode": "critique"}), {}, ["settings"]),
        (identity(options={"mode": "direct", "of_another_version": 1}), {}, ["settings"]),
        (identity(model="renamed", prompts_origin="in other words"), {}, []),
        (identity(), {"kv_type": "q8_0"}, ["engine"]),
        # What the engine says of the weights is no difference of the engine.
        (identity(weights="sha256:bb"), {"model": "another one"}, ["weights"]),
    ],
)
def test_each_part_of_a_judge_is_compared_by_itself(
    other: dict[str, Any], engine: dict[str, Any], apart: list[str]
) -> None:
    known = {"kv_type": "f16", "model": "small"}
    before = KnownJudge(("f1",), identity(), [known], "1")
    after = KnownJudge((other["fingerprint"],), other, [{**known, **engine}], "1")
    assert differing(judge_parts(before, after)) == apart
    assert unknown(judge_parts(before, after)) == []


def test_without_a_manifest_the_fingerprints_must_do(tmp_path: Path) -> None:
    found = files(tmp_path, "pairwise", pairs(20), options=JudgingOptions(mode="direct", combine="mean"))
    manifest_path(tmp_path / "old.jsonl").unlink()
    again = difference(read_side(str(tmp_path / "old.jsonl")), found.after)
    assert differing(again.parts) == ["weights, prompts or settings"]
    assert unknown(again.parts) == ["engine", "fare"]
    same = difference(again.before, again.before)
    assert (differing(same.parts), same.parts[0].part) == ([], "weights, prompts and settings")


def test_a_manifest_of_another_judge_is_not_believed(tmp_path: Path) -> None:
    found = files(tmp_path, "pairwise", pairs(20), options=JudgingOptions(mode="direct", combine="mean"))
    stolen = manifest_path(tmp_path / "new.jsonl").read_text()
    manifest_path(tmp_path / "old.jsonl").write_text(stolen)
    again = read_side(str(tmp_path / "old.jsonl"))
    assert not again.judge.identity
    assert differing(judge_parts(again.judge, found.after.judge)) == ["weights, prompts or settings"]


def test_files_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    old = judged_file(tmp_path / "old.jsonl", "verify", answers(4))
    other_task = judged_file(tmp_path / "task.jsonl", "pairwise", pairs(4))
    with pytest.raises(InputError, match=r"verdicts of verify, and .* of pairwise"):
        difference(read_side(str(old)), read_side(str(other_task)))
    others = [{**one, "id": f"other-{one['id']}"} for one in answers(4)]
    no_overlap = judged_file(tmp_path / "ids.jsonl", "verify", others)
    with pytest.raises(InputError, match="no record in common"):
        difference(read_side(str(old)), read_side(str(no_overlap)))
    reworded = judged_file(tmp_path / "words.jsonl", "verify", [{**one, "question": "?"} for one in answers(4)])
    with pytest.raises(InputError, match=r"under the same ids .* \(v0-0, v1-0, v2-0\)"):
        difference(read_side(str(old)), read_side(str(reworded)))
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(old.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"torn.jsonl, line 4"):
        read_side(str(torn))
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_bytes(old.read_bytes() + other_task.read_bytes())
    with pytest.raises(InputError, match=r"mixed.jsonl, line 5: a verdict of task pairwise"):
        read_side(str(mixed))


def test_verdicts_without_records_are_compared_by_their_ids_and_it_is_said(tmp_path: Path) -> None:
    for name in ("old", "new"):
        judged_file(tmp_path / f"{name}.jsonl", "verify", answers(20), include_record=False)
    found = difference(read_side(str(tmp_path / "old.jsonl")), read_side(str(tmp_path / "new.jsonl")))
    assert found.comparison.flips.of == 20
    assert any("--no-record" in text for text in report_on(found).warnings)


def test_markdown_reads_nothing_out_of_records_and_keeps_to_its_size(tmp_path: Path) -> None:
    records = [{**one, "id": f"`x` | [a](http://b) @someone {n}"} for n, one in enumerate(answers(200))]
    found = files(tmp_path, "verify", records, accuracy=0.5)
    report = report_on(found, show_all=True)
    text = markdown(report)
    cells = [line for line in text.splitlines() if "someone" in line]
    assert len(cells) == found.comparison.flips.cases
    assert all(line.startswith("| `'x' \\| [a](http://b) @someone ") for line in cells)
    short = markdown(report, most_bytes=5_000)
    assert 3_000 < len(short.encode()) <= 5_000
    left_out = int(short.split(" more rows have no room here")[0].rsplit("\n", 1)[1])
    assert left_out + sum("someone" in line for line in short.splitlines()) == len(cells)


SAID = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]),  # id
    st.sampled_from(["yes", "yes", "no", "invalid"]),
    st.sampled_from(["What?", "What?", "What?", "Why?"]),
    st.floats(0.5, 1.0),
)
FILES = st.lists(SAID, max_size=8)


def case(said: tuple[str, str, str, float]) -> Case:
    id, label, question, sure = said
    record = {"id": id, "question": question, "answer": "this"}
    if label == "invalid":
        error = VerdictError(kind="too_long", message="too long")
        return Case.of(Verdict(id=id, task="verify", status="invalid", error=error, record=record))
    probabilities = {label: sure, "no" if label == "yes" else "yes": 1 - sure}
    return Case.of(
        Verdict(
            id=id,
            task="verify",
            status="ok",
            verdict=label,
            confidence=sure,
            probabilities=probabilities,
            record=record,
        )
    )


@given(FILES, FILES)
def test_a_difference_mirrors_its_reverse(one: list[Any], other: list[Any]) -> None:
    before, after = [*map(case, one)], [*map(case, other)]
    there, back = join(before, after), join(after, before)
    assert sorted(there.changed) == sorted(back.changed)
    assert (there.only_before, there.only_after) == (back.only_after, back.only_before)
    assert {(a.id, b.id) for a, b in there.pairs} == {(b.id, a.id) for a, b in back.pairs}
    # Every id of either side is in one place, and in one only.
    places = [a.id for a, _ in there.pairs], there.changed, there.only_before, there.only_after
    assert sorted(id for ids in places for id in ids) == sorted({said[0] for said in [*one, *other]})
    made, undone = compare(there.pairs), compare(back.pairs)
    assert (made.flips, made.lost.cases, made.mended) == (undone.flips, undone.mended, undone.lost.cases)
    directions = Counter((a.verdict, b.verdict) for a, b in there.judged)
    assert directions == Counter((b.verdict, a.verdict) for a, b in back.judged)
    assert made.flips.cases == directions["yes", "no"] + directions["no", "yes"]
    assert made.kappa is None or undone.kappa is None or made.kappa.value == pytest.approx(undone.kappa.value)


@given(FILES)
def test_nothing_differs_from_itself(said: list[Any]) -> None:
    cases = [*map(case, said)]
    joined = join(cases, cases)
    made = compare(joined.pairs)
    assert (joined.changed, joined.only_before, joined.only_after) == ([], [], [])
    assert (made.flips.cases, made.lost.cases, made.mended) == (0, 0, 0)
    assert made.shift is None or made.shift == (0, 0)


def test_the_json_form_holds_all_that_the_page_shows(tmp_path: Path) -> None:
    found = files(tmp_path, "verify", answers(60), accuracy=0.7)
    values = json.loads(json.dumps(report_on(found).to_json(), allow_nan=False))
    assert values["tables"]["changes"]["rows"][2]["value"]["cases"] == found.comparison.flips.cases
    assert len(values["tables"]["records"]["rows"]) == found.comparison.flips.cases
