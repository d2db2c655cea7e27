"""A run that its gate may stop: no more false alarms than promised, whatever the order of file, lengths and replies."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from fare_cli.asks import Ask, Reply, ReplyError
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.errors import ExitCode, UsageError
from fare_cli.gate.measures import parse_limit
from fare_cli.gate.sequential import check_in_order
from fare_cli.gate.watching import RunGate
from fare_cli.judge import BackendJudge
from fare_cli.run.manifest import read_manifest
from fare_cli.run.reader import InputPlan
from tests.gate.making import Record, ShortestFirst, gated, judged_file, read, run_gated, write_records
from tests.simulating import DIRECT, answers, judge, scored, truth

LONG = "and so on " * 40


def tied(count: int, share: float, draw: random.Random) -> list[Record]:
    """Answers of which so many are right. The right ones are short and come first: who decides by what comes first, out
    of the file or from the model, sees nothing else."""
    right = sorted((draw.random() < share for _ in range(count)), reverse=True)
    return [
        {
            "id": f"r{number}",
            "question": f"question {number}",
            "answer": "RIGHT" if is_right else f"WRONG {LONG}",
            "gold": "yes" if is_right else "no",
        }
        for number, is_right in enumerate(right)
    ]


def shortest_first(**settings: Any) -> BackendJudge:
    return BackendJudge(ShortestFirst(SimulatedJudge(truth, **settings)), options=DIRECT)


def by_cluster(path: Path, task: str = "verify", seed: int = 0) -> InputPlan:
    return InputPlan(task, (str(path),), shuffle_seed=seed, by_cluster=True)


def watch(*limits: str, confidence: float = 0.95, max_invalid: float = 0.01) -> RunGate:
    return RunGate([parse_limit(*limit.split("=")) for limit in limits], confidence=confidence, max_invalid=max_invalid)


def test_false_alarms_are_as_rare_as_promised_whatever_comes_first(tmp_path: Path) -> None:
    """The truth lies at the limit, so whatever is decided is a false alarm: one in ten at most at 90%.

    The same verdicts taken in the order of the file, or as replies come in, raise it always.
    """
    draw = random.Random(7)
    alarms = in_file_order = 0
    for number in range(100):
        source = write_records(tmp_path / "tied.jsonl", tied(100, 0.5, draw))
        gate = watch("min-right=50%", confidence=0.9)
        run_gated(shortest_first(), by_cluster(source, seed=number), gate)
        alarms += gate.exit_code is not ExitCode.UNDECIDED
        naive = watch("min-right=50%", confidence=0.9)
        in_file_order += _naively(naive, source) is not ExitCode.UNDECIDED
    assert alarms <= 10
    assert in_file_order == 100


def _naively(gate: RunGate, source: Path) -> ExitCode:
    """What the gate says at its first decision if records count as they stand in the file."""
    from fare_cli.run.lines import Clusters, InCluster

    cluster = InCluster(True, Clusters(100, 100, 1))
    records = [json.loads(line) for line in source.read_text().splitlines()]
    for verdict in judge().verdicts("verify", records):
        if gate.add(verdict, cluster):
            break
    return gate.exit_code


def test_clusters_that_stand_together_raise_no_more_false_alarms(tmp_path: Path) -> None:
    """Questions of one to six answers, all right or all wrong, the right ones first in the file and shorter."""
    draw = random.Random(11)
    alarms = 0
    for number in range(60):
        questions = [(draw.randint(1, 6), draw.random() < 0.5) for _ in range(30)]
        records = [
            {"id": f"{question}-{copy}", "question": f"question {question}", "answer": f"{'RIGHT' if right else LONG}"}
            for question, (copies, right) in enumerate(sorted(questions, key=lambda one: not one[1]))
            for copy in range(copies)
        ]
        source = write_records(tmp_path / "clusters.jsonl", records)
        gate = watch("min-right=50%", confidence=0.9)
        run_gated(shortest_first(), by_cluster(source, seed=number), gate)
        alarms += gate.exit_code is not ExitCode.UNDECIDED
    assert alarms <= 6


@pytest.mark.parametrize(("share", "expected"), [(0.9, ExitCode.OK), (0.1, ExitCode.GATE), (0.5, ExitCode.UNDECIDED)])
def test_a_clear_answer_ends_the_run_early(tmp_path: Path, share: float, expected: ExitCode) -> None:
    source = write_records(tmp_path / "records.jsonl", tied(400, share, random.Random(3)))
    output = tmp_path / "verdicts.jsonl"
    gate = watch("min-right=50%")
    outcome = run_gated(judge(), by_cluster(source), gate, output=output)
    assert outcome.exit_code is gate.exit_code is expected
    judged = outcome.summary.counts.total
    if expected is ExitCode.UNDECIDED:
        assert (judged, outcome.begun, outcome.reason) == (400, 400, None)
    else:
        assert outcome.reason == "gate"
        # The backend takes 16 asks at a time.
        assert judged <= outcome.begun <= judged + 16
        assert judged < 60


def test_what_a_stopped_run_writes_says_so_and_can_be_gated_again(tmp_path: Path) -> None:
    source = write_records(tmp_path / "records.jsonl", tied(300, 0.9, random.Random(3)))
    output = tmp_path / "verdicts.jsonl"
    run_gated(shortest_first(), by_cluster(source), watch("min-right=50%"), output=output)
    manifest = read_manifest(output)
    assert manifest is not None
    assert (manifest.complete, manifest.reason, manifest.shuffle_seed) == (False, "gate", 0)
    assert manifest.gate is not None
    assert manifest.gate.model_dump() == {
        "limits": ["min-right=50%"],
        "confidence": 0.95,
        "records": 300,
        "clusters": 300,
        "largest_cluster": 1,
        "outcome": "pass",
    }
    run = read(output)
    assert run.stopped
    assert len(run.cases) == manifest.output.verdicts == manifest.counts["total"]
    # As the run itself saw it, and another limit by the same sequence.
    assert gated(output, "min-right=50%").outcome is ExitCode.OK
    assert gated(output, "min-right=99%").outcome is not ExitCode.OK


def test_the_same_command_goes_on_and_ends_at_the_same_record(tmp_path: Path) -> None:
    source = write_records(tmp_path / "records.jsonl", tied(200, 0.85, random.Random(3)))
    output = tmp_path / "verdicts.jsonl"
    by = shortest_first()
    run_gated(by, by_cluster(source), watch("min-right=50%"), output=output, limit=5)
    assert read_manifest(output).reason == "limit"  # type: ignore[union-attr]
    first = run_gated(by, by_cluster(source), watch("min-right=50%"), output=output)
    assert first.summary.asking.reused >= 5
    written = output.read_bytes()
    again = run_gated(by, by_cluster(source), watch("min-right=50%"), output=output)
    assert again.summary.asking.asked == 0 or again.summary.asking.reused >= first.summary.counts.total
    assert output.read_bytes() == written
    whole = run_gated(by, InputPlan("verify", (str(source),)), output=output)
    assert whole.complete
    assert whole.summary.counts.total == 200
    assert read_manifest(output).gate is None  # type: ignore[union-attr]


def test_records_of_a_question_come_together_and_count_once_it_is_whole(tmp_path: Path) -> None:
    """All answers to a question are alike: five of them are worth one record."""
    several = write_records(tmp_path / "several.jsonl", answers(30, each=5))
    single = write_records(tmp_path / "single.jsonl", answers(30))
    found = []
    for source in (several, single):
        output = tmp_path / f"{source.stem}.out"
        gate = watch("min-right=10%")
        outcome = run_gated(judge(), by_cluster(source), gate, output=output)
        assert outcome.reason == "gate"
        found.append((outcome.summary.counts.total, gate.checks[0].figure))
        questions = [json.loads(line)["record"]["question"] for line in output.read_text().splitlines()]
        assert questions == sorted(questions, key=questions.index)
    assert found[0][0] == 5 * found[1][0]
    assert found[0][1] == found[1][1]


def test_the_gate_of_a_run_and_of_its_file_are_one(tmp_path: Path) -> None:
    """Clusters of several sizes, an undecided end, records that cannot be read."""
    draw = random.Random(5)
    records: list[Record] = [
        {"question": f"question {number}", "answer": f"{draw.choice(['RIGHT', 'WRONG'])} {copy}"}
        for number in range(40)
        for copy in range(draw.randint(1, 4))
    ]
    source = write_records(tmp_path / "records.jsonl", [*records, {"question": "no answer"}])
    output = tmp_path / "verdicts.jsonl"
    gate = watch("min-right=47%")
    outcome = run_gated(judge(), by_cluster(source), gate, output=output, max_invalid=0.05)
    assert outcome.reason is None
    (check,) = gated(output, "min-right=47%", max_invalid=0.05).checks
    assert [check] == gate.checks
    # The mean over records, not over questions.
    right = ["RIGHT" in record["answer"] for record in records]
    assert check.figure is not None
    assert check.figure.value == pytest.approx(sum(right) / len(right))
    assert check.figure.value != pytest.approx(0.5, abs=0.01)


def test_a_question_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    source = write_records(tmp_path / "records.jsonl", answers(20, each=4))
    output = tmp_path / "verdicts.jsonl"
    gate = watch("min-right=47%")
    outcome = run_gated(judge(), by_cluster(source), gate, output=output, limit=30)
    assert (outcome.reason, outcome.exit_code) == ("limit", ExitCode.UNDECIDED)
    (check,) = gate.checks
    assert check.records == "28 records, looked at after each"
    run = read(output, records=30)
    assert run.order is not None
    assert check_in_order([parse_limit("min-right", "47%")], run.cases, run.order, confidence=0.95) == [check]


@pytest.mark.parametrize(("max_invalid", "ended_at"), [(0.02, 100), (0.0197, 104)])
def test_a_run_ends_with_a_whole_question_also_when_invalid_records_have_held_it_up(
    tmp_path: Path, max_invalid: float, ended_at: int
) -> None:
    """Sure early on, but the first two answers broke: it may end once they are few enough (of 100 and of 102 records),
    and not inside a question."""
    broken = iter([True] * 2 + [False] * 1000)

    def breaks_first(ask: Ask) -> Reply:
        return Reply(error=ReplyError("decode_failed", "it broke")) if next(broken) else SimulatedJudge(truth)(ask)

    right = [{**record, "answer": f"RIGHT {record['id']}"} for record in answers(100, each=4)]
    source = write_records(tmp_path / "records.jsonl", right)
    by = BackendJudge(ReplayBackend(breaks_first, window=1), options=DIRECT)
    outcome = run_gated(by, by_cluster(source), watch("min-right=50%", max_invalid=max_invalid))
    assert (outcome.reason, outcome.summary.counts.total) == ("gate", ended_at)


def test_a_run_of_broken_records_is_not_stopped_as_if_it_were_sure(tmp_path: Path) -> None:
    """Every fourth ask fails: what is left is clear at once, but the run has to go to its end and say so."""

    def breaks(ask: Ask) -> Reply:
        if int(ask.id.split("/")[0]) % 4 == 0:
            return Reply(error=ReplyError("decode_failed", "it broke"))
        return SimulatedJudge(truth)(ask)

    source = write_records(tmp_path / "records.jsonl", tied(120, 1.0, random.Random(3)))
    gate = watch("min-right=50%")
    by = BackendJudge(ShortestFirst(breaks), options=DIRECT)
    outcome = run_gated(by, by_cluster(source), gate, max_invalid=0.01)
    assert gate.exit_code is ExitCode.OK
    assert outcome.complete
    assert outcome.summary.counts.total == 120
    assert outcome.exit_code is ExitCode.INVALID


def test_time_that_runs_out_is_no_failed_gate(tmp_path: Path) -> None:
    source = write_records(tmp_path / "records.jsonl", tied(300, 0.5, random.Random(3)))
    outcome = run_gated(judge(), by_cluster(source), watch("min-right=50%"), max_seconds=0.05)
    assert outcome.reason == "max_seconds"
    assert outcome.exit_code in (ExitCode.UNDECIDED, ExitCode.INVALID)
    assert outcome.exit_code is not ExitCode.GATE


def test_scores_have_one_scale_and_the_limit_lies_on_it(tmp_path: Path) -> None:
    source = write_records(tmp_path / "records.jsonl", scored(60))
    gate = watch("min-score=2")
    outcome = run_gated(judge(), by_cluster(source, "score"), gate)
    assert outcome.exit_code is ExitCode.OK
    figure = gate.checks[0].figure
    assert figure is not None
    assert figure.interval is not None
    assert 2 <= figure.interval.low < figure.value < figure.interval.high <= 5
    with pytest.raises(UsageError, match="from 1 to 5"):
        run_gated(judge(), by_cluster(source, "score"), watch("min-score=7"))


def test_whole_files_have_the_same_order_for_the_same_seed_only(tmp_path: Path) -> None:
    path = judged_file(tmp_path / "plain.jsonl", "verify", answers(20))
    assert not read(path).stopped
    source = tmp_path / "plain.in.jsonl"
    orders = []
    for seed in (0, 0, 1):
        output = tmp_path / "ordered.jsonl"
        run_gated(judge(), by_cluster(source, seed=seed), watch("min-right=49%"), output=output)
        orders.append([json.loads(line)["id"] for line in output.read_text().splitlines()])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
