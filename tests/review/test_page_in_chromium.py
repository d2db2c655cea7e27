"""The review page in a real browser, with the program behind it: keys, notes, undo, faults, and who cannot see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fare_cli.identity import JudgingOptions
from fare_cli.review.events import ReviewEvent, read_events, standing
from fare_cli.verdicts import Verdict
from tests.browser.chromium import axe_findings, running_chromium
from tests.review.making import write_verdicts
from tests.review.serving import Review, reviewing
from tests.simulating import answers, judged, pairs, scored, solutions

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def hostile_pairs(count: int) -> list[dict[str, Any]]:
    made = pairs(count, system_a="secret-alpha", system_b="secret-beta")
    for one in made:
        one["question"] += f" {HOSTILE}"
        one["answer_a"] += " The one is long, and the other is short."
        one["answer_b"] += " The one is short, and the other is long."
    return made


TASKS: dict[str, Callable[[], list[Verdict]]] = {
    "pairwise": lambda: judged("pairwise", hostile_pairs(6), JudgingOptions(), accuracy=0.7, noise=0.5),
    "step": lambda: judged("step", solutions(4), accuracy=0.7),
    "verify": lambda: judged("verify", answers(4), accuracy=0.7),
    "score": lambda: judged("score", scored(4), accuracy=0.7),
}


class Opened:
    """A page on a running review; what it asks of others, and what goes wrong in it, is gathered in `faults`."""

    def __init__(self, browser: Any, review: Review, kept: Path, **options: Any) -> None:
        self.review, self.kept, self.faults = review, kept, list[str]()
        self.page = browser.new_context(**options).new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda one: one.url.startswith(review.url) or self.faults.append(one.url))
        self.page.goto(review.url)
        self.page.locator("#record h1").wait_for()

    def events(self) -> list[ReviewEvent]:
        return list(read_events(self.kept))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def sees(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for()

    def at(self, record: int) -> None:
        self.page.get_by_role("heading", name=f"Record {record}", exact=True).wait_for()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_chromium() as found:
        yield found


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens a review of a task's verdicts in a browser that has never seen one."""
    pages: list[Opened] = []
    with ExitStack() as stack:

        def begin(task: str = "pairwise", *arguments: str, **options: Any) -> Opened:
            path = write_verdicts(tmp_path / f"{task}.jsonl", TASKS[task]())
            review = stack.enter_context(reviewing(path, "--no-browser", *arguments))
            pages.append(Opened(browser, review, tmp_path / f"{task}.Ada.review.jsonl", **options))
            return pages[-1]

        yield begin
        for one in pages:
            one.page.context.close()
    assert [fault for one in pages for fault in one.faults] == []


@pytest.mark.parametrize(
    ("task", "keys", "labels"),
    [
        ("verify", ("1", "0"), ["yes", "no"]),
        ("step", ("x", "0", "3"), ["-1", "0", "3"]),
        ("score", ("1", "5"), ["1", "5"]),
    ],
)
def test_one_key_is_a_verdict_and_the_next_record_comes(
    opened: Callable[..., Opened], task: str, keys: tuple[str, ...], labels: list[str]
) -> None:
    it = opened(task)
    for number, key in enumerate(keys, start=1):
        it.press(key)
        it.sees(f"{number} of 4 decided")
        it.at(number + 1)
        it.sees(f"Record {number} is saved")
    assert [one.verdict for one in it.events()] == labels
    assert all(one.blind for one in it.events())


def test_a_key_that_is_pressed_twice_does_not_take_the_verdict_back(opened: Callable[..., Opened]) -> None:
    it = opened("verify")
    # In one go, before the first has come back.
    press = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true}))"
    it.page.evaluate(f"{press}, {press}, {press}")
    it.at(2)
    it.press("0")
    it.at(3)
    assert [one.verdict for one in standing(it.events()).values()] == ["yes", "no"]


def test_a_pair_is_shown_in_a_random_order_and_kept_by_its_own_names(opened: Callable[..., Opened]) -> None:
    it = opened()
    firsts = []
    for number in range(1, 7):
        it.at(number)
        firsts.append(it.page.locator(".answer").first.inner_text())
        it.press("1" if number < 6 else "0")
        it.sees(f"{number} of 6 decided")
    it.page.get_by_role("heading", name="Agreement").wait_for()
    events = it.events()
    assert {one.order for one in events} == {"ab", "ba"}
    assert [one.verdict for one in events] == ["A" if one.order == "ab" else "B" for one in events[:5]] + ["tie"]
    # What stood first is what was chosen.
    for said, first in zip(events[:5], firsts, strict=False):
        assert ("and the other is short" in first) is (said.verdict == "A")


def test_nothing_tells_the_verdict_before_the_own_one(opened: Callable[..., Opened]) -> None:
    it = opened()
    page = it.page
    page.uncheck("#goes-on")
    assert page.get_by_role("heading", name="What the judge said").count() == 0
    it.press("s")
    it.sees("the judge's verdict is shown after your own")
    assert "secret" not in page.content()
    it.press("1")
    page.get_by_role("button", name="Show what the judge said").wait_for()
    assert "secret" not in page.content()
    it.press("s")
    page.get_by_role("heading", name="What the judge said").wait_for()
    assert page.locator("#fault").is_hidden()
    assert "secret-alpha" in page.content()
    it.press("0")
    page.locator("[data-label=tie][aria-pressed=true]").wait_for()
    assert [(one.verdict, one.blind) for one in it.events()][1:] == [(it.events()[0].verdict, False), ("tie", False)]
    assert len(standing(it.events(), blind=True)) == 1


def test_who_is_not_blind_sees_the_judge_at_once(opened: Callable[..., Opened]) -> None:
    it = opened("pairwise", "--not-blind")
    it.page.get_by_role("heading", name="What the judge said").wait_for()
    it.press("2")
    it.at(2)
    assert [one.blind for one in it.events()] == [False]


def test_a_hostile_record_is_only_text(opened: Callable[..., Opened]) -> None:
    it = opened()
    assert HOSTILE in it.page.locator(".given .text").first.inner_text()
    assert it.page.title() == "Review: pairwise.jsonl"
    assert it.page.evaluate("document.images.length") == 0
    # And what got in would not run.
    it.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'document.title=1'}))"
    )
    assert it.page.title() == "Review: pairwise.jsonl"


def test_notes_undo_and_a_verdict_taken_back(opened: Callable[..., Opened]) -> None:
    it = opened("verify")
    it.press("n")
    it.page.keyboard.type("why 1 not 0?")
    it.press("Escape", "1")
    it.at(2)
    # The note and then the verdict: keys in the note are letters.
    assert [(one.verdict, one.note) for one in it.events()] == [(None, "why 1 not 0?"), ("yes", "why 1 not 0?")]
    it.press("u")
    it.at(1)
    it.sees("Undone.")
    it.sees("0 of 4 decided, 1 note")
    it.press("u")
    it.page.get_by_text("0 of 4 decided", exact=True).wait_for()
    it.press("u")
    it.sees("There is nothing to undo.")
    it.page.uncheck("#goes-on")
    it.press("0")
    it.page.locator("[data-label=no][aria-pressed=true]").wait_for()
    it.press("0")
    it.sees("Taken back.")
    (last,) = standing(it.events()).values()
    assert (last.verdict, last.note) == (None, "")


def test_a_note_that_is_still_being_written_goes_with_the_record_it_is_on(opened: Callable[..., Opened]) -> None:
    it = opened("verify")
    it.press("n")
    it.page.keyboard.type("odd")
    it.page.get_by_role("button", name="Next").click()
    it.at(2)
    (noted,) = it.events()
    assert noted.note == "odd"
    it.press("ArrowLeft")
    it.at(1)
    assert it.page.input_value("#note") == "odd"


def test_a_reload_or_another_day_goes_on_where_it_was(opened: Callable[..., Opened]) -> None:
    it = opened("verify")
    it.press("1")
    it.at(2)
    it.page.reload()
    it.at(2)
    it.press("ArrowRight")
    it.at(3)
    it.press("1")
    it.at(4)
    it.review.end()
    again = opened("verify")
    again.at(2)
    again.sees("2 of 4 decided")


def test_where_nothing_can_be_saved_nothing_is_shown_as_said(opened: Callable[..., Opened]) -> None:
    it = opened("verify")
    it.press("n")
    it.page.keyboard.type("precious")
    it.review.process.kill()
    it.review.process.wait()
    it.press("Escape")
    it.page.get_by_role("alert").get_by_text("nothing was saved").wait_for()
    assert it.page.input_value("#note") == "precious"
    it.press("1")
    it.page.get_by_role("alert").get_by_text("the program behind this page was ended").wait_for()
    it.at(1)
    assert it.page.locator("[aria-pressed=true]").count() == 0
    it.sees("0 of 4 decided")
    assert it.page.input_value("#note") == "precious"
    assert it.events() == []


def test_the_end_shows_the_agreement_and_ends_the_program(opened: Callable[..., Opened]) -> None:
    it = opened("verify")
    for number in range(1, 5):
        it.at(number)
        it.press("1")
        it.sees(f"{number} of 4 decided")
    it.page.get_by_role("heading", name="The judge and each person").wait_for()
    it.sees("You have decided all records.")
    assert it.page.locator("#agreement tbody tr").first.inner_text().startswith("Ada")
    assert axe_findings(it.page) == []
    it.page.get_by_role("button", name="End the review").click()
    it.page.get_by_role("heading", name="The review has ended").wait_for()
    out, _ = it.review.process.communicate(timeout=60)
    assert it.review.process.returncode == 0
    assert "the judge and each person" in out


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("task", list(TASKS))
def test_the_page_is_accessible(opened: Callable[..., Opened], task: str, scheme: str) -> None:
    it = opened(task, color_scheme=scheme, viewport={"width": 390, "height": 800})
    it.press("?")
    it.page.get_by_role("heading", name="Words and keys").wait_for()
    assert axe_findings(it.page) == []
    it.page.uncheck("#goes-on")
    it.press("?")
    it.page.locator(".choices button").first.click()
    it.page.get_by_role("button", name="Show what the judge said").click()
    it.page.get_by_role("heading", name="What the judge said").wait_for()
    assert axe_findings(it.page) == []
    # Nothing sticks out at the side of a phone.
    assert it.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_can_be_done_without_a_mouse_or_single_keys(opened: Callable[..., Opened]) -> None:
    it = opened("verify")
    page = it.page
    page.locator("#open-words").focus()
    it.press("Enter")
    page.locator("#keys").focus()
    it.press("Space")
    it.press("1")
    page.get_by_text("0 of 4 decided").wait_for()
    page.locator("[data-label=no]").focus()
    it.press("Enter")
    it.at(2)
    assert page.evaluate("document.activeElement.id") == "record-title"
    assert [one.verdict for one in it.events()] == ["no"]


def test_the_address_alone_is_not_enough_for_another_page(opened: Callable[..., Opened], browser: Any) -> None:
    it = opened("verify")
    other = browser.new_context().new_page()
    found = re.match(r"(http://[^/]+)/(\w|-)+/", it.review.url)
    assert found is not None
    answer = other.goto(f"{found[1]}/")
    assert answer.status == 403
    # A page elsewhere that knows even the token cannot read or write by it.
    other.goto("data:text/html,<title>elsewhere</title>")
    write = "{method: 'POST', body: '{}', headers: {'Content-Type': 'application/json'}}"
    for path, how in (("api/undo", write), ("api/session", "{}")):
        asked = f"url => fetch(url, {how}).then(() => 'read', () => 'refused')"
        assert other.evaluate(asked, f"{it.review.url}{path}") == "refused"
    other.context.close()
