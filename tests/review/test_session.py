"""What a person is shown and when, in which order, and what of it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fare_cli.errors import InputError, UsageError
from fare_cli.identity import JudgingOptions
from fare_cli.review.events import read_events, standing
from fare_cli.review.queue import Queue
from fare_cli.review.session import Opinion, Session
from fare_cli.review.store import ReviewFile
from fare_cli.verdicts import Verdict
from tests.review.making import write_verdicts
from tests.simulating import answers, judged, pairs, scored, solutions

PAIRS = judged(
    "pairwise", pairs(40, system_a="gpt-secret", system_b="other-secret"), accuracy=0.7, position_bias=1.0, noise=0.5
)


class Work:
    """A session on a verdict file that can be begun again, as after a restart."""

    def __init__(self, folder: Path, verdicts: list[Verdict], reviewer: str = "Ada") -> None:
        self.path = write_verdicts(folder / "v.jsonl", verdicts)
        self.reviews = folder / "r.jsonl"
        self.reviewer = reviewer
        self._open: tuple[Queue, ReviewFile] | None = None

    def begin(self, **options: Any) -> Session:
        self.end()
        reading = {name: options.pop(name) for name in ("first", "limit") if name in options}
        queue, file = Queue.read(self.path, seed=options.get("seed", 0), **reading), ReviewFile.open(self.reviews)
        self._open = (queue, file)
        return Session(queue, file, self.reviewer, **options)

    def end(self) -> None:
        for one in self._open or ():
            one.close()
        self._open = None


@pytest.fixture
def work(tmp_path: Path) -> Any:
    made = Work(tmp_path, PAIRS)
    yield made
    made.end()


def test_pairs_whose_orders_differ_come_first_then_the_least_sure(work: Work) -> None:
    queue = work.begin().queue
    found = [queue.verdict(place) for place in range(len(queue))]
    inconsistent = sum(one.consistent is False for one in found)
    assert 3 < inconsistent < 37
    assert all(one.consistent is False for one in found[:inconsistent])
    sure = [one.confidence or 0 for one in found[inconsistent:]]
    assert sure == sorted(sure)
    assert {one.id for one in found} == {one.id for one in PAIRS}


def test_a_random_order_is_one_for_each_seed_and_not_that_of_the_file(work: Work) -> None:
    def ids(**options: Any) -> list[str]:
        return [item.about.record for item in work.begin(**options).queue.items]

    one, again, other = ids(first="random"), ids(first="random"), ids(first="random", seed=1)
    assert one == again != other
    assert sorted(one) == sorted(other)
    assert one != [verdict.id for verdict in PAIRS]
    assert ids(first="random", limit=5) == one[:5]


def test_a_blind_person_is_sent_nothing_that_tells_the_verdict_or_who_answered(work: Work) -> None:
    session = work.begin()
    looked = session.look(0)
    assert looked["hidden"]
    assert set(looked["verdict"]["record"]) == {"question", "answer_a", "answer_b"}
    text = json.dumps(looked)
    told = session.queue.verdict(0)
    assert "secret" not in text
    assert told.id not in text
    assert told.judge not in text
    assert not set(looked["verdict"]) & {"probabilities", "judgments", "confidence", "gold", "consistent"}
    with pytest.raises(UsageError, match="after your own"):
        session.reveal(0)


def test_the_judge_is_shown_after_the_own_verdict_and_changes_then_do_not_count_as_blind(work: Work) -> None:
    session = work.begin()
    session.say(0, Opinion("A", "first thought"))
    assert session.look(0)["hidden"]
    session.reveal(0)
    assert session.look(0)["verdict"]["judgments"]
    session.say(0, Opinion("B", "convinced"))
    events = list(read_events(work.reviews))
    assert [(one.verdict, one.blind) for one in events] == [("A", True), ("A", False), ("B", False)]
    (blind,), (final,) = standing(events, blind=True).values(), standing(events).values()
    assert (blind.verdict, final.verdict) == ("A", "B")
    # Also after a restart.
    session = work.begin()
    assert not session.look(0)["hidden"]
    session.say(0, Opinion("tie"))
    assert list(read_events(work.reviews))[-1].blind is False
    # Nothing is kept twice.
    session.say(0, Opinion("tie"))
    session.reveal(0)
    assert len(list(read_events(work.reviews))) == 4


def test_who_is_not_blind_sees_everything_and_says_so(work: Work) -> None:
    session = work.begin(blind=False)
    assert session.look(0)["verdict"]["probabilities"]
    session.say(0, Opinion("A"))
    assert list(read_events(work.reviews))[-1].blind is False


def test_which_answer_stands_first_is_random_and_said(work: Work) -> None:
    session = work.begin()
    orders = [session.look(place)["order"] for place in range(40)]
    assert 8 < orders.count("ba") < 32
    assert [work.begin().look(place)["order"] for place in range(40)] == orders
    assert [work.begin(seed=5).look(place)["order"] for place in range(40)] != orders
    session = work.begin()
    place = orders.index("ba")
    session.say(place, Opinion("A"))
    # The swap is undone: the label is of the record, not of the place on the screen.
    event = list(read_events(work.reviews))[-1]
    assert (event.verdict, event.order) == ("A", "ba")


def test_undo_takes_back_step_by_step_and_is_kept_as_such(work: Work) -> None:
    session = work.begin()
    session.say(0, Opinion("A"))
    session.say(1, Opinion("B", "n"))
    session.say(1, Opinion("B", "better note"))
    assert session.undo() == 1
    assert session.look(1)["own"] == {"verdict": "B", "note": "n"}
    assert session.undo() == 1
    assert session.undo() == 0
    assert session.undo() is None
    assert session.look(0)["own"] == {"verdict": None, "note": ""}
    assert session.progress().decided == 0
    assert {one.verdict for one in standing(read_events(work.reviews)).values()} == {None}


def test_a_restart_goes_on_where_it_was(work: Work) -> None:
    session = work.begin()
    assert session.progress().next == 0
    for place in (0, 1, 3):
        session.say(place, Opinion("B"))
    session.say(2, Opinion(None, "what is this?"))
    progress = work.begin().progress()
    assert (progress.decided, progress.notes, progress.next, progress.total) == (3, 1, 2, 40)
    work.reviewer = "Bob"
    assert work.begin().progress().decided == 0


def test_a_clock_that_was_set_back_makes_nothing_older(work: Work) -> None:
    session = work.begin()
    session.say(0, Opinion("A"))
    work.end()
    late = work.reviews.read_text().replace('"at":"2', '"at":"9')
    work.reviews.write_text(late)
    session = work.begin()
    session.say(0, Opinion("B"))
    assert next(iter(standing(read_events(work.reviews)).values())).verdict == "B"


@pytest.mark.parametrize(
    ("task", "records", "labels"),
    [
        ("pairwise", pairs(1), ("A", "B", "tie")),
        ("step", solutions(1), ("-1", "0", "1", "2", "3")),
        ("verify", answers(1), ("yes", "no")),
        ("score", scored(1), ("1", "2", "3", "4", "5")),
    ],
    ids=["pairwise", "step", "verify", "score"],
)
def test_every_task_has_its_labels_and_no_other_is_taken(
    tmp_path: Path, task: str, records: Any, labels: tuple[str, ...]
) -> None:
    work = Work(tmp_path, judged(task, records))
    session = work.begin()
    assert session.look(0)["labels"] == labels
    for label in labels:
        session.say(0, Opinion(label))
    for wrong in ("C", "6", "4", "maybe", ""):
        if wrong not in labels:
            with pytest.raises(UsageError, match="no label of this record"):
                session.say(0, Opinion(wrong))
    with pytest.raises(UsageError, match="there is no record 1"):
        session.look(1)
    with pytest.raises(UsageError, match="there is no record -1"):
        session.say(-1, Opinion(labels[0]))
    work.end()


def test_verdicts_that_nobody_can_look_at_are_left_out_or_refused(tmp_path: Path) -> None:
    some = judged("verify", [*answers(3), {"question": "", "answer": "x"}])
    work = Work(tmp_path, some)
    queue = work.begin().queue
    assert len(queue) == 3
    assert queue.counted == (4, 1, 3)
    work.end()
    for bad, said in (
        ([one.model_copy(update={"record": None}) for one in some], "line 1: .*--no-record"),
        (judged("verify", [{"question": "", "answer": "x"}]), "no record could be judged"),
    ):
        with pytest.raises(InputError, match=said):
            Queue.read(write_verdicts(tmp_path / "bad.jsonl", bad))


def test_several_criteria_are_queued_by_the_least_sure_of_them(tmp_path: Path) -> None:
    records = [
        {"id": f"c{number}", "question": "q", "answer": f"points: {number}", "criteria": {"a": "?", "b": "?"}}
        for number in (1, 2, 3)
    ]
    work = Work(tmp_path, judged("score", records, JudgingOptions(mode="direct"), noise=0.5))
    session = work.begin()
    found = [session.queue.verdict(place) for place in range(3)]
    sure = [min(one.probabilities[str(one.score)] for one in (verdict.criteria or {}).values()) for verdict in found]
    assert sure == sorted(sure)
    session.say(0, Opinion("4"))
    work.end()
