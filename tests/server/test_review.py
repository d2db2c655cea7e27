"""The requests of the review page, one by one, as a page that is not ours could put them too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fare_cli.review.agreement import agreement
from fare_cli.review.events import read_events
from fare_cli.review.merging import People
from fare_cli.review.queue import Queue
from fare_cli.review.session import Session
from fare_cli.review.store import ReviewFile
from fare_cli.server.loopback import Request
from fare_cli.server.review import ReviewAnswers
from tests.review.making import write_verdicts
from tests.simulating import judged, pairs


class Asked:
    def __init__(self, session: Session, path: Path) -> None:
        self.finished = 0
        self.reviews = path
        self._answers = ReviewAnswers(
            session,
            "</title><script>v</script>",
            lambda: agreement(session.queue.all_verdicts(), People.of(session.events), "v"),
            self._finish,
        )

    def _finish(self) -> None:
        self.finished += 1

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self._answers(Request(method, path, data))
        return answer.status, json.loads(answer.body) if answer.content_type.startswith("application/json") else answer


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asked]:
    path = write_verdicts(tmp_path / "v.jsonl", judged("pairwise", pairs(30), accuracy=0.8, noise=0.5))
    with Queue.read(path) as queue, ReviewFile.open(tmp_path / "r.jsonl") as file:
        yield Asked(Session(queue, file, "Ada"), tmp_path / "r.jsonl")


def test_a_review_by_its_requests(ask: Asked) -> None:
    _, first = ask("GET", "api/session")
    assert first["progress"]["next"] == 0
    status, looked = ask("GET", "api/record/0")
    assert status == 200
    assert looked["looked"]["hidden"]
    status, said = ask("POST", "api/say", {"place": 0, "verdict": "A", "note": "why"})
    assert said["looked"]["own"] == {"verdict": "A", "note": "why"}
    assert (said["progress"]["decided"], said["progress"]["next"]) == (1, 1)
    assert len(list(read_events(ask.reviews))) == 1
    _, revealed = ask("POST", "api/reveal", {"place": 0})
    assert revealed["looked"]["verdict"]["judgments"]
    _, undone = ask("POST", "api/undo", {})
    assert undone["looked"]["own"]["verdict"] is None
    assert "looked" not in ask("POST", "api/undo", {})[1]
    for place in range(30):
        ask("POST", "api/say", {"place": place, "verdict": "B", "note": ""})
    _, shown = ask("GET", "api/agreement")
    assert shown["tables"][0]["heads"][0] == "person"
    assert shown["tables"][0]["rows"][0][0] == "Ada"
    assert all(isinstance(cell, str) for row in shown["tables"][0]["rows"] for cell in row)
    assert not [table for table in shown["tables"] if "record" in table["heads"]], (
        "what the judge said of one stays hidden"
    )
    assert ask("POST", "api/finish", {}) == (200, {})
    assert ask.finished == 1


def test_who_skips_a_record_is_not_led_back_to_it_at_once(ask: Asked) -> None:
    assert ask("POST", "api/say", {"place": 4, "verdict": "A", "note": ""})[1]["progress"]["next"] == 5
    assert ask("POST", "api/say", {"place": 29, "verdict": "A", "note": ""})[1]["progress"]["next"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "api/say", b"not json", 400),
        ("POST", "api/say", {"place": 0, "verdict": "A"}, 400),
        ("POST", "api/say", {"place": "0", "verdict": "A", "note": ""}, 400),
        ("POST", "api/say", {"place": True, "verdict": "A", "note": ""}, 400),
        ("POST", "api/say", {"place": 0, "verdict": "A", "note": "", "reviewer": "Bob"}, 400),
        ("POST", "api/say", {"place": 0, "verdict": "no", "note": ""}, 400),
        ("POST", "api/say", {"place": 30, "verdict": "A", "note": ""}, 400),
        ("POST", "api/say", {"place": -1, "verdict": "A", "note": ""}, 400),
        ("POST", "api/say", {"place": 0, "verdict": "A", "note": "x" * 20_001}, 400),
        ("POST", "api/reveal", {"place": 0}, 400),
        ("POST", "api/reveal", {"place": 10**30}, 400),
        ("GET", "api/record/30", None, 400),
        ("GET", "api/record/-1", None, 404),
        ("GET", "api/record/\u0661", None, 404),
        ("GET", "api/say", None, 404),
        ("POST", "", {}, 404),
        ("GET", "../../etc/passwd", None, 404),
        ("GET", "page.html.jinja", None, 404),
    ],
)
def test_what_is_no_request_of_the_page_changes_nothing(
    ask: Asked, method: str, path: str, body: Any, status: int
) -> None:
    found, said = ask(method, path, body)
    assert found == status
    assert said["error"]
    assert list(read_events(ask.reviews)) == []


def test_the_page_carries_no_record_and_escapes_the_name_of_the_file(ask: Asked) -> None:
    status, answer = ask("GET", "")
    html = answer.body.decode()
    assert status == 200
    assert "<script>v" not in html
    assert "question 1" not in html
    assert "script-src 'sha256-" in answer.policy
    assert "unsafe" not in answer.policy
