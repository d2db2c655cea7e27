"""`fare review` as a shell sees it: the page's process, its end by whatever means, and merging."""

from __future__ import annotations

import json
import resource
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fare_cli.review.events import read_events
from tests.cli.conftest import Fare
from tests.review.making import event, labels_of_people, lines, write_reviews, write_verdicts
from tests.review.serving import reviewing
from tests.simulating import annotators, judged, pairs

VERDICTS = judged("pairwise", [{k: v for k, v in one.items() if k != "gold"} for one in pairs(40)], accuracy=0.8)


@pytest.fixture
def verdicts(tmp_path: Path) -> Path:
    return write_verdicts(tmp_path / "v.jsonl", VERDICTS)


def say(review: Any, place: int, note: str = "") -> Any:
    return review.ask("say", {"place": place, "verdict": "A", "note": note})


def test_a_review_is_kept_and_ends_with_the_agreement(verdicts: Path) -> None:
    with reviewing(verdicts, "--no-browser") as review:
        for place in range(5):
            assert say(review, place)["progress"]["decided"] == place + 1
        out, _ = review.end()
        assert review.process.returncode == 0
    assert "people and the judge on v.jsonl" in out
    assert "Ada" in out
    kept = verdicts.with_name("v.Ada.review.jsonl")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(list(read_events(kept))) == 5
    # The same command goes on.
    with reviewing(verdicts, "--no-browser", "--json") as review:
        assert review.ask("session")["progress"]["decided"] == 5
        out, _ = review.end()
    assert json.loads(out)["facts"]["reviewers"] == "Ada"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_it_with_what_was_said(verdicts: Path, number: signal.Signals, code: int) -> None:
    with reviewing(verdicts, "--no-browser") as review:
        say(review, 0)
        review.process.send_signal(number)
        out, err = review.process.communicate(timeout=60)
        assert review.process.returncode == code
    assert "Traceback" not in err
    assert "people and the judge" in out


def test_kill_9_loses_nothing_that_was_acknowledged(verdicts: Path) -> None:
    with reviewing(verdicts, "--no-browser") as review:
        for place in range(20):
            assert "error" not in say(review, place, f"note {place}")
        review.process.kill()
        review.process.wait()
    kept = verdicts.with_name("v.Ada.review.jsonl")
    assert [one.note for one in read_events(kept)] == [f"note {place}" for place in range(20)]
    # Torn on top of it.
    kept.write_bytes(kept.read_bytes()[:-30])
    with reviewing(verdicts, "--no-browser") as review:
        assert review.ask("session")["progress"]["decided"] == 19
        assert say(review, 19)["progress"]["decided"] == 20
    assert len(list(read_events(kept))) == 20


def test_a_full_disk_is_said_and_what_could_be_kept_is(verdicts: Path) -> None:
    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    with reviewing(verdicts, "--no-browser", preexec_fn=limited) as review:
        assert say(review, 0, "x" * 15_000)["progress"]["decided"] == 1
        assert say(review, 1, "x" * 15_000)["progress"]["decided"] == 2
        refused = say(review, 2, "x" * 15_000)
        assert refused["status"] == 503
        assert "cannot write review file" in refused["error"]
        assert review.ask("session")["progress"]["decided"] == 2
        # What is shorter fits.
        assert say(review, 2)["progress"]["decided"] == 3
    assert [len(one.note) for one in read_events(verdicts.with_name("v.Ada.review.jsonl"))] == [15_000, 15_000, 0]


def test_no_other_user_can_see_the_token(verdicts: Path, tmp_path: Path) -> None:
    """It is in no program's arguments: the browser is given a file that its owner alone can read."""
    seen = tmp_path / "seen.json"
    browser = tmp_path / "browser.py"
    browser.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, stat, sys, urllib.parse\n"
        "path = urllib.parse.unquote(urllib.parse.urlsplit(sys.argv[1]).path)\n"
        "state = os.stat(path), os.stat(os.path.dirname(path))\n"
        "values = {'argv': sys.argv, 'path': path, 'modes': [stat.S_IMODE(one.st_mode) for one in state],\n"
        "          'text': open(path).read()}\n"
        f"pathlib.Path({str(seen)!r} + '.new').write_text(json.dumps(values))\n"
        f"os.rename({str(seen)!r} + '.new', {str(seen)!r})\n"
    )
    browser.chmod(0o755)
    with reviewing(verdicts, env={"DISPLAY": ":99", "BROWSER": str(browser)}) as review:
        token = review.url.rstrip("/").rpartition("/")[2]
        for _ in range(200):
            if seen.exists():
                break
            time.sleep(0.05)
        found = json.loads(seen.read_text())
        assert token not in json.dumps(found["argv"])
        assert found["modes"] == [0o600, 0o700]
        assert review.url in found["text"]
        if sys.platform == "linux":
            assert token.encode() not in Path(f"/proc/{review.process.pid}/cmdline").read_bytes()
            assert token.encode() not in Path(f"/proc/{review.process.pid}/environ").read_bytes()
        review.end()
    assert not Path(found["path"]).parent.exists()


def test_two_cannot_write_one_file(verdicts: Path, fare: Fare) -> None:
    with reviewing(verdicts, "--no-browser"):
        done = fare("review", verdicts, "--no-browser", "--reviewer", "Ada")
    assert done.returncode == 2
    assert "in use by another process" in done.stderr


def test_merging_gives_a_file_that_eval_takes(verdicts: Path, tmp_path: Path, fare: Fare) -> None:
    events = labels_of_people(VERDICTS, annotators(40, 2, accuracy=0.9))
    files = [
        write_reviews(tmp_path / f"{number}.jsonl", [one for one in events if one.reviewer == f"person {number}"])
        for number in (0, 1)
    ]
    done = fare("review", "--merge", *files, verdicts, "-o", "m.jsonl", "--report", "r.html")
    assert done.returncode == 0, done.stderr
    for said in ("the judge and each person", "people among themselves", "Krippendorff"):
        assert said in done.stdout
    assert "40 verdicts, 40 reviewed" in done.stderr
    assert "the judge and each person" in (tmp_path / "r.html").read_text()
    merged = lines(tmp_path / "m.jsonl")
    agreed = sum(one["record"]["annotations"]["person 0"] == one["record"]["annotations"]["person 1"] for one in merged)
    assert sum(one["gold"] is not None for one in merged) == agreed > 20
    done = fare("eval", "--verdicts", "m.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    tables = json.loads(done.stdout)["tables"]
    assert {"pairwise", "people", "calibration"} <= set(tables)


def test_records_of_other_words_are_said(verdicts: Path, tmp_path: Path, fare: Fare) -> None:
    other = event(VERDICTS[0], "Ada", "A", content="0" * 16)
    seen = event(VERDICTS[1], "Ada", "A", blind=False)
    done = fare("review", "--merge", verdicts, write_reviews(tmp_path / "r.jsonl", [other, seen]), "-o", "m.jsonl")
    assert done.returncode == 0
    assert "1 reviewed records are not in" in done.stderr
    assert "nobody gave a verdict" in done.stdout
    done = fare("review", "--merge", verdicts, write_reviews(tmp_path / "r.jsonl", [other]), "-o", "none.jsonl")
    assert done.returncode == 2
    assert "none of the 1 reviewed records is in" in done.stderr
    assert not (tmp_path / "none.jsonl").exists()


def test_somebody_who_has_said_nothing_yet_is_merged_like_others(verdicts: Path, tmp_path: Path, fare: Fare) -> None:
    reviews = write_reviews(tmp_path / "r.jsonl", [event(VERDICTS[0], "Ada", "A")])
    nothing = write_reviews(tmp_path / "nothing.jsonl", [])
    done = fare("review", "--merge", verdicts, nothing, reviews, "-o", "m.jsonl")
    assert done.returncode == 0, done.stderr
    assert "40 verdicts, 1 reviewed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("v.jsonl", "v.jsonl"), "one file of verdicts"),
        (("v.jsonl", "-o", "m.jsonl"), "-o is for --merge"),
        (("v.jsonl", "--limit", "0"), "--limit 0"),
        (("v.jsonl", "--reviewer", " "), "--reviewer"),
        (("missing.jsonl",), "missing.jsonl"),
        (("r.jsonl",), "r.jsonl"),
        (("--merge", "v.jsonl", "r.jsonl"), "-o FILE"),
        (("--merge", "v.jsonl", "-o", "m.jsonl"), "1 are verdicts and 0 reviews"),
        (("--merge", "r.jsonl", "-o", "m.jsonl"), "0 are verdicts and 1 reviews"),
        (("--merge", "v.jsonl", "r.jsonl", "-o", "v.jsonl"), "one of the inputs"),
        (("--merge", "v.jsonl", "bad.jsonl", "-o", "m.jsonl"), "bad.jsonl, line 2: `verdict`"),
        ((), "VERDICTS"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_a_usage_error(
    verdicts: Path, tmp_path: Path, fare: Fare, arguments: tuple[str, ...], said: str
) -> None:
    reviews = write_reviews(tmp_path / "r.jsonl", [event(VERDICTS[0], "Ada", "A")])
    (tmp_path / "bad.jsonl").write_text(
        reviews.read_text() + reviews.read_text().replace('"verdict":"A"', '"verdict":"C"')
    )
    done = fare("review", *arguments, *(() if "--merge" in arguments else ("--no-browser",)))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "m.jsonl").exists()
    assert lines(verdicts) == [json.loads(one.to_line()) for one in VERDICTS]


def test_files_are_for_their_owner(verdicts: Path, tmp_path: Path, fare: Fare) -> None:
    reviews = write_reviews(tmp_path / "r.jsonl", [event(VERDICTS[0], "Ada", "A")])
    assert fare("review", "--merge", verdicts, reviews, "-o", "m.jsonl").returncode == 0
    assert stat.S_IMODE((tmp_path / "m.jsonl").stat().st_mode) == 0o600
