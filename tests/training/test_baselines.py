"""Baselines find the shortcut that is planted for them, are at chance without one, and learn from TRAIN alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fare_cli.asks import Ask, BackendInfo, Given, GivenPart, Reply, ReplyError
from fare_cli.backends.replay import ReplayBackend
from fare_cli.errors import InputError, InvalidRecordsError
from fare_cli.judge import BackendJudge
from fare_cli.meta.agreement import Proportion, proportion
from fare_cli.meta.bootstrap import Estimate
from fare_cli.meta.steps import f1
from fare_cli.report.model import Report, Value
from fare_cli.run.manifest import journal_path
from tests.training.making import write_records
from tests.training.running import verb
from training.baselines import BaselineOptions, baselines
from training.guessing.fitting import best_threshold

_WORDS = [
    "tide",
    "lamp",
    "grove",
    "stone",
    "wheel",
    "barn",
    "cloud",
    "fern",
    "ridge",
    "ember",
    "quill",
    "sail",
    "drum",
    "loom",
    "pearl",
    "thorn",
]
_Row = dict[str, Any]
_Make = Callable[[random.Random, bool], str]


def _plain(draw: random.Random, _right: bool) -> str:
    """An answer of 8 words, right or wrong."""
    return " ".join(draw.choices(_WORDS, k=8))


def _longer(draw: random.Random, right: bool) -> str:
    return " ".join(draw.choices(_WORDS, k=draw.randint(6, 9) + 3 * right))


def _told(draw: random.Random, right: bool) -> str:
    """As long and of the same words, but for one."""
    words = draw.choices(_WORDS, k=8)
    words[draw.randrange(8)] = "heron" if right else "otter"
    return " ".join(words)


def _pairs(make: _Make, count: int, seed: int) -> Iterator[_Row]:
    draw = random.Random(f"pair {seed}")
    for number in range(count):
        gold = draw.choice("AB")
        answers = {f"answer_{side.lower()}": make(draw, side == gold) for side in "AB"}
        yield {"id": f"pair-{seed}-{number}", "question": f"Which of {seed} {number}?", **answers, "gold": gold}


def _answers(make: _Make, count: int, seed: int, **more: str) -> Iterator[_Row]:
    draw = random.Random(f"verify {seed}")
    for number in range(count):
        right = draw.random() < 0.5
        fields = {
            "question": f"What is {seed} {number}?",
            "answer": make(draw, right),
            "gold": "yes" if right else "no",
        }
        yield {"id": f"verify-{seed}-{len(more)}-{number}", **fields, **more}


def _solutions(make: _Make, count: int, seed: int) -> Iterator[_Row]:
    """Solutions of 4 steps, every second one with a wrong one anywhere."""
    draw = random.Random(f"step {seed}")
    for number in range(count):
        gold = draw.randrange(4) if number % 2 else -1
        steps = [make(draw, index != gold) for index in range(4)]
        yield {"id": f"step-{seed}-{number}", "question": f"Solve {seed} {number}.", "steps": steps, "gold": gold}


def _scores(make: _Make, count: int, seed: int) -> Iterator[_Row]:
    """Scores of two scales: the better half is high."""
    draw = random.Random(f"score {seed}")
    for number in range(count):
        good = draw.random() < 0.5
        low, high = [(1, 5), (0, 10)][number % 2]
        middle = (low + high) // 2
        fields = {"question": f"Say {seed} {number}.", "answer": make(draw, good), "rubric": "Is it good?"}
        gold = draw.randint(middle + 1, high) if good else draw.randint(low, middle)
        yield {"id": f"score-{seed}-{number}", **fields, "scale": [low, high], "gold": gold}


def _all(make: _Make, count: int, seed: int) -> list[_Row]:
    return [
        *_pairs(make, count, seed),
        *_answers(make, count, seed),
        *_answers(make, count, seed, reference="None of these"),
        *_solutions(make, count, seed),
        *_scores(make, count, seed),
    ]


TASKS = ("pairwise", "step", "verify", "verify-reference", "score")
_HEADLINE = {"pairwise": "accuracy", "step": "F1", "score": "Pearson"}


def _options(folder: Path, train: list[_Row], test: list[_Row], **more: Any) -> BaselineOptions:
    write_records(folder / "train.jsonl", train)
    return BaselineOptions(folder / "train.jsonl", {"held-out": write_records(folder / "test.jsonl", test)}, **more)


def _run(folder: Path, train: list[_Row], test: list[_Row], model: Any = None, **more: Any) -> Report:
    said: list[str] = []
    report = baselines(_options(folder, train, test, **more), folder / "report.json", model=model, say=said.append)
    assert report is not None
    return report


def _rows(report: Report, task: str) -> dict[str, dict[str, Value]]:
    """By baseline and name of the figure."""
    table = next(one for one in report.tables if one.name == f"held-out-{task}")
    names = [column.heading for column in table.columns]
    return {str(row[0]): dict(zip(names, row, strict=True)) for row in table.rows}


def _headline(report: Report, task: str, baseline: str) -> tuple[float, float, float]:
    """Value and interval of the figure that a task is known by; there is none where no resample differs."""
    value = _rows(report, task)[baseline][_HEADLINE.get(task, "balanced accuracy")]
    assert isinstance(value, Proportion | Estimate)
    middle = value.share if isinstance(value, Proportion) else value.value
    assert middle is not None
    low, high = value.interval or (middle, middle)
    return low, middle, high


def _chance(report: Report, task: str) -> float:
    value = _rows(report, task)["chance"][_HEADLINE.get(task, "balanced accuracy")]
    assert isinstance(value, float)
    return value


@pytest.fixture(scope="module")
def by_length(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return _run(tmp_path_factory.mktemp("length"), _all(_longer, 240, 1), _all(_longer, 160, 2))


@pytest.fixture(scope="module")
def by_word(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return _run(tmp_path_factory.mktemp("word"), _all(_told, 240, 1), _all(_told, 160, 2))


@pytest.fixture(scope="module")
def by_nothing(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return _run(tmp_path_factory.mktemp("nothing"), _all(_plain, 240, 1), _all(_plain, 160, 2))


@pytest.mark.parametrize("task", TASKS)
def test_a_planted_length_is_found(task: str, by_length: Report) -> None:
    low, _, _ = _headline(by_length, task, "length")
    assert low > _chance(by_length, task) + 0.15
    assert not by_length.warnings


@pytest.mark.parametrize("task", TASKS)
def test_a_planted_word_is_found_by_the_bag_of_words_alone(task: str, by_word: Report) -> None:
    low, _, _ = _headline(by_word, task, "bag of words")
    assert low > _chance(by_word, task) + 0.2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("baseline", ["length", "bag of words"])
def test_without_a_shortcut_all_are_at_chance(task: str, baseline: str, by_nothing: Report) -> None:
    low, middle, _ = _headline(by_nothing, task, baseline)
    # Of steps the threshold weighs both kinds, so that F1 may lie somewhat above that of labels drawn evenly.
    assert low <= _chance(by_nothing, task) + (0.1 if task == "step" else 0)
    assert middle < _chance(by_nothing, task) + 0.15


def test_the_figures_are_those_of_the_labels(by_word: Report) -> None:
    rows = _rows(by_word, "verify")
    found = rows["bag of words"]["accuracy"]
    assert isinstance(found, Proportion)
    assert (found.cases, found.of) == (160, 160)
    assert isinstance(rows["bag of words"]["AUROC"], Estimate)
    assert rows["bag of words"]["AUROC"].value == 1
    golds = [row["gold"] for row in _answers(_told, 240, 1)]
    most = max(("no", "yes"), key=golds.count)
    share = rows["majority label"]["accuracy"]
    assert isinstance(share, Proportion)
    assert share.cases == sum(row["gold"] == most for row in _answers(_told, 160, 2))
    steps = _rows(by_word, "step")
    assert steps["chance"]["F1"] == pytest.approx(1 / 5)
    assert steps["majority label"]["accuracy, no step is wrong"] == proportion(80, 80)
    assert steps["bag of words"]["accuracy, a step is wrong"] == proportion(80, 80)
    assert _rows(by_word, "score")["chance"]["accuracy"] == pytest.approx((1 / 5 + 1 / 11) / 2)


def test_where_a_step_stands_and_how_many_there_are_is_a_shortcut_of_the_length_rule(tmp_path: Path) -> None:
    def solutions(count: int, seed: int) -> Iterator[_Row]:
        for row in _solutions(_plain, count, seed):
            yield row if row["gold"] < 0 else {**row, "steps": [*row["steps"], "So it is."], "gold": 2}

    report = _run(tmp_path, list(solutions(120, 1)), list(solutions(60, 2)))
    assert _headline(report, "step", "length")[1] > 0.95
    assert _headline(report, "step", "bag of words")[1] < 0.6


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3), st.integers(-1, 2)), min_size=2, max_size=30))
def test_no_other_threshold_has_a_better_f1(rows: list[tuple[int, int, int]]) -> None:
    golds = [-1, 0, *(gold for _, _, gold in rows)]
    best = [(0, 0.0), (0, 1.0), *((index, float(score)) for index, score, _ in rows)]

    def reached(threshold: float) -> float:
        said = [index if score >= threshold else -1 for index, score in best]
        return f1(said, golds)(np.ones(len(golds), int))

    assert reached(best_threshold(best, golds)) == pytest.approx(max(map(reached, {score for _, score in best})))


def test_a_swapped_pair_gets_the_swapped_verdict(tmp_path: Path) -> None:
    pairs = list(_pairs(_longer, 60, 2)) + [{**row, "answer_b": row["answer_a"]} for row in _pairs(_plain, 20, 3)]
    swapped = [
        {**row, "answer_a": row["answer_b"], "answer_b": row["answer_a"], "gold": "AB"[row["gold"] == "A"]}
        for row in pairs
    ]
    train = list(_pairs(_told, 120, 1))
    found = []
    for name, rows in (("plain", pairs), ("swapped", swapped)):
        (tmp_path / name).mkdir()
        found.append(_rows(_run(tmp_path / name, train, rows[:60]), "pairwise"))
    for baseline in ("length", "bag of words", "numbers repeat"):
        assert found[0][baseline]["accuracy"] == found[1][baseline]["accuracy"]


def test_nothing_is_learnt_from_the_test_files(tmp_path: Path) -> None:
    """TRAIN has a shortcut the other way round: who learns from it alone is wrong throughout."""
    turned = [{**row, "gold": {"yes": "no", "no": "yes"}[row["gold"]]} for row in _answers(_told, 120, 1)]
    report = _run(tmp_path, turned, list(_answers(_told, 80, 2)))
    assert _headline(report, "verify", "bag of words")[1] < 0.05


_REFERENCES = [
    ("Paris", "It is Paris.", True),
    ("the Eiffel Tower", "eiffel  TOWER!", True),
    ("Judy Collins/Stephen Stills", "By Stephen Stills, 1969.", True),
    ("18", "There are 180 of them.", False),
    ("New York", "York is new.", False),
    ("the", "The the.", False),
]


@pytest.mark.parametrize(("reference", "answer", "contained"), _REFERENCES)
def test_the_reference_is_found_as_words_in_a_row(tmp_path: Path, reference: str, answer: str, contained: bool) -> None:
    row = {"question": "Which?", "reference": reference, "answer": answer, "gold": "yes" if contained else "no"}
    report = _run(tmp_path, list(_answers(_plain, 9, 1)), [row])
    found = _rows(report, "verify-reference")["contains the reference"]
    assert isinstance(found["accuracy"], Proportion)
    assert found["accuracy"].cases == 1
    assert found["AUROC"] is None


def test_numbers_that_come_again_are_found(tmp_path: Path) -> None:
    def pair(number: int) -> _Row:
        right, wrong = f"{number} + 3 = {number + 3}", f"{number} + 4 = {number + 4}"
        gold = "AB"[number % 2]
        answers = {"answer_a": right, "answer_b": wrong} if gold == "A" else {"answer_a": wrong, "answer_b": right}
        return {"question": f"What is {number} plus 3?", **answers, "gold": gold}

    train, test = [list(_pairs(_plain, 30, 1)), [pair(number) for number in range(100, 160)]]
    assert _headline(_run(tmp_path, train, test), "pairwise", "numbers repeat")[1] == 1


class Reader:
    """A model that finds a text as likely as `nats` says, a token being a word."""

    def __init__(self, nats: Callable[[str], float]) -> None:
        self.asked: list[Ask] = []
        self._nats = nats

    def model(self, seed: int = 3) -> BackendJudge:
        def said(ask: Ask) -> Reply:
            assert isinstance(ask.script, Given)
            self.asked.append(ask)
            parts = [part.split() for part in ask.script.parts]
            if ["unreadable"] in parts:
                return Reply(error=ReplyError("too_long", "does not fit"))
            return Reply(given=tuple(GivenPart(sum(map(self._nats, words)), len(words)) for words in parts))

        return BackendJudge(ReplayBackend(said, info=BackendInfo("sha256:x", "reader", {}), shuffle_seed=seed))


def _likes_herons(word: str) -> float:
    return -1.0 if word == "heron" else -3.0 if word == "otter" else -2.0


def _indifferent(word: str) -> float:
    return -2.0 - random.Random(word).random()


@pytest.mark.parametrize("task", TASKS)
def test_what_a_likely_answer_says_is_found_and_what_says_nothing_is_not(
    task: str, tmp_path: Path, by_nothing: Report
) -> None:
    for name, make, nats in (("told", _told, _likes_herons), ("plain", _plain, _indifferent)):
        folder = tmp_path / name
        folder.mkdir()
        train, test = ([row for row in _all(make, 120, seed) if row["id"].startswith(task[:4])] for seed in (1, 2))
        report = _run(folder, train, test, Reader(nats).model())
        low, middle, _ = _headline(report, task, "likelihood")
        if name == "told":
            assert low > _chance(report, task) + 0.2
        else:
            assert low <= _chance(report, task) + (0.1 if task == "step" else 0)
            assert middle < _chance(report, task) + 0.15


def test_the_model_is_shown_question_and_document_and_the_steps_as_lines(tmp_path: Path) -> None:
    reader = Reader(_likes_herons)
    row = {"question": "Solve.", "context": "A document.", "reference": "Secret.", "steps": ["heron", "tide otter"]}
    test = [{**row, "gold": 1}, {**row, "question": "Solve it.", "gold": -1}]
    _run(tmp_path, [], test, reader.model())
    assert {ask.messages[0].text for ask in reader.asked} == {"A document.\n\nSolve.", "A document.\n\nSolve it."}
    parts = {ask.script.parts for ask in reader.asked if isinstance(ask.script, Given)}
    assert parts == {("heron\n", "tide otter\n")}
    assert not any(piece.ours for ask in reader.asked for message in ask.messages for piece in message.pieces)


def test_an_interrupted_run_asks_the_model_only_what_is_owed(tmp_path: Path) -> None:
    train, test = list(_answers(_told, 30, 1)), list(_answers(_told, 20, 2))
    options, output = _options(tmp_path, train, test), tmp_path / "report.json"

    def dies(word: str) -> float:
        if len(reader.asked) > 25:
            raise KeyboardInterrupt
        return _likes_herons(word)

    reader = Reader(dies)
    with pytest.raises(KeyboardInterrupt):
        baselines(options, output, model=reader.model())
    assert not output.exists()
    again = Reader(_likes_herons)
    assert baselines(options, output, model=again.model()) is not None
    assert len(again.asked) == 25
    assert journal_path(output).is_file()
    whole = tmp_path / "whole.json"
    baselines(options, whole, model=Reader(_likes_herons).model())
    assert output.read_bytes() == whole.read_bytes()


def test_caps_are_kept_and_said(tmp_path: Path) -> None:
    reader = Reader(_likes_herons)
    train, test = _all(_told, 40, 1), _all(_told, 30, 2)
    report = _run(tmp_path, train, test, reader.model(), fit_records=20, likelihood_records=12)
    learnt = next(one for one in report.tables if one.name == "learnt")
    by_task = {row[0]: row[1:] for row in learnt.rows}
    assert by_task == {task: (40, 20, 0 if task == "pairwise" else 12) for task in TASKS}
    rows = _rows(report, "verify")
    assert (rows["length"]["records"], rows["likelihood"]["records"]) == (30, 12)
    assert len(reader.asked) == 12 * 2 + 24 * 4
    counts = json.loads((tmp_path / "report.json.manifest.json").read_text())["counts"]
    assert counts["learnt_from"] == dict.fromkeys(TASKS, 20)


def test_what_cannot_be_measured_is_said(tmp_path: Path) -> None:
    train = [*_answers(_plain, 20, 1), {**next(_answers(_plain, 1, 5)), "gold": None}]
    seen = {**next(_answers(_plain, 1, 1)), "id": "again", "answer": "Something else."}
    tie = {**next(_pairs(_plain, 1, 4)), "gold": "tie"}
    unreadable = {"id": "long", "question": "Read?", "answer": "unreadable", "gold": "no"}
    test = [*_answers(_plain, 20, 2), seen, tie, unreadable, *_solutions(_plain, 4, 2)]
    report = _run(tmp_path, train, test, Reader(_likes_herons).model())
    assert sorted(report.warnings) == [
        "TRAIN: left out: 1 no gold label",
        "held-out: 1 of 22 verify records are of questions of the training records",
        "held-out: left out: 1 a tie",
        "held-out: the model could not take 1 of the verify records: they have no likelihood",
        "step: the training records do not suffice to learn by length and bag of words and likelihood",
    ]
    assert list(_rows(report, "step")) == ["chance"]
    assert _rows(report, "verify")["likelihood"]["records"] == 21


def test_the_command_writes_report_page_and_manifest_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = _options(tmp_path, list(_pairs(_told, 30, 1)), list(_pairs(_told, 20, 2)))
    pages = tmp_path / "pages"
    pages.mkdir()
    asked = ["baselines", str(options.train), "--test", f"held-out={options.tests['held-out']}"]
    asked += ["-o", str(tmp_path / "r.json"), "--html", str(pages / "r.html")]
    assert verb(*asked) == 0
    told = capsys.readouterr()
    assert "held-out: pairwise (20 records of 20 questions)" in told.out
    assert "bag of words" in (pages / "r.html").read_text()
    report = json.loads((tmp_path / "r.json").read_text())
    assert [row["baseline"] for row in report["tables"]["held-out-pairwise"]["rows"]] == [
        "chance", "majority label", "length", "bag of words", "numbers repeat",
    ]  # fmt: skip
    made = json.loads((tmp_path / "r.json.manifest.json").read_text())
    assert made["verb"] == "baselines"
    assert len(made["inputs"]) == len(made["outputs"]) == 2
    before = (tmp_path / "r.json").stat().st_mtime_ns
    assert verb(*asked) == 0
    assert "is finished already" in capsys.readouterr().err
    assert (tmp_path / "r.json").stat().st_mtime_ns == before
    (pages / "r.html").unlink()
    assert verb(*asked, "--force") == 0
    assert (pages / "r.html").is_file()


def test_the_small_model_finds_the_likelier_answer(
    tmp_path: Path, smollm2_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [
        ("What is the capital of France?", "The capital of France is Paris.", "Seven the runs of otter blue."),
        ("What do cows drink?", "Cows drink water.", "Drink cows of of the."),
        ("How many legs has a dog?", "A dog has four legs.", "Legs a a it sixty through."),
        ("What is the colour of the sky?", "The sky is blue.", "Sky is is yesterday wooden."),
    ]
    rows = [{"question": one, "answer_a": right, "answer_b": wrong, "gold": "A"} for one, right, wrong in pairs]
    options = _options(tmp_path, rows, rows)
    asked = ["baselines", str(options.train), "--test", f"held-out={options.tests['held-out']}"]
    asked += ["-o", str(tmp_path / "r.json"), "--likelihood", str(smollm2_path), "--threads", "1"]
    assert verb(*asked) == 0
    capsys.readouterr()
    report = json.loads((tmp_path / "r.json").read_text())
    found = report["tables"]["held-out-pairwise"]["rows"][-1]
    assert found["baseline"] == "likelihood"
    assert found["accuracy"]["cases"] == 4
    assert any("4 of 4 pairwise records are of questions of the training records" in one for one in report["warnings"])


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (["nothing"], "a name and a file are wanted"),
        (["one={}", "one={}"], "one is named twice"),
    ],
)
def test_tests_without_a_name_of_their_own_are_refused(
    tmp_path: Path, tests: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_records(tmp_path / "t.jsonl", _answers(_plain, 4, 1))
    asked = [part for text in tests for part in ("--test", text.format(file))]
    assert verb("baselines", str(file), *asked, "-o", str(tmp_path / "r.json")) == 2
    assert said in capsys.readouterr().err


def test_files_that_cannot_be_used_are_refused_by_name_and_line(tmp_path: Path) -> None:
    good, bad = list(_answers(_plain, 4, 1)), {"question": "Q", "answer": "A", "gold": "perhaps"}
    with pytest.raises(InvalidRecordsError, match=r"test\.jsonl, line 5: .*gold"):
        _run(tmp_path, good, [*good, bad])
    with pytest.raises(InvalidRecordsError, match=r"test\.jsonl: no record has a right label"):
        _run(tmp_path, good, [{"question": "Q", "answer": "A"}])
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(InputError, match="something else"):
        _run(tmp_path, good, good[:3])
