"""What the page of `fare report` does in a real browser: for eyes, keys and screen readers, and without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from fare_cli.review.events import ReviewEvent, read_events, standing
from fare_cli.viewer.page import write_page
from tests.browser.chromium import axe_findings, running_chromium
from tests.viewer.verdict_files import HOSTILE, TASKS, hostile_pair, verdicts_of, with_critiques, write_verdicts

OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name: `pairs` (the first record is hostile, the last not judged), `blind` the same, `mixed`, `bare`."""
    folder = tmp_path_factory.mktemp("pages")
    pairs = with_critiques([hostile_pair(), *TASKS["pairwise"], {"id": "broken", "question": "", "answer_a": "x"}])
    file = write_verdicts(folder / "pairs.jsonl", pairs)
    others = [write_verdicts(folder / f"{task}.jsonl", verdicts_of(task)) for task in ("step", "verify", "score")]
    bare = write_verdicts(folder / "bare.jsonl", pairs, records=False)
    made = {name: folder / f"{name}.html" for name in ("pairs", "blind", "mixed", "bare")}
    write_page([file], made["pairs"])
    write_page([file], made["blind"], blind=True)
    write_page([file, *others], made["mixed"])
    write_page([bare], made["bare"])
    return made


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path]) -> Iterator[OpenPage]:
    """Opens a page in a browser that has never seen it; fails on an error in it or on a try to reach the network."""
    contexts, faults = [], []

    def open_page(name: str, view: str = "", **options: Any) -> Any:
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "blob:")) else faults.append(request.url),
        )
        page.goto(f"{pages[name].as_uri()}{view}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def shown_records(page: Any) -> list[str]:
    """The names in the rows in sight."""
    return page.locator(".rows .c-id").all_inner_texts()


def test_a_hostile_record_is_only_text(opened: OpenPage) -> None:
    page = opened("pairs", "#record-1")
    assert page.locator("h1#record-title").inner_text() == HOSTILE
    assert (
        page.locator(".answer").first.inner_text().count("document.title='owned'") == 4
    )  # in the answer, and in its system's name
    assert page.title() == "Verdicts on pairs"
    assert page.evaluate("document.images.length") == 0


def test_a_script_that_got_in_would_not_run(opened: OpenPage, browser: Any, pages: dict[str, Path]) -> None:
    context = browser.new_context()
    page = context.new_page()
    broken = pages["pairs"].with_name("broken.html")
    source = pages["pairs"].read_text(encoding="utf-8")
    broken.write_text(
        source.replace(
            "<noscript>",
            "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"><noscript>",
            1,
        )
    )
    page.goto(broken.as_uri())
    page.wait_for_selector("#found", state="attached")
    assert page.title() == "Verdicts on pairs"
    context.close()


def test_the_list_is_filtered_sorted_and_searched(opened: OpenPage) -> None:
    page = opened("pairs", "#records")
    expect(page.locator("#found")).to_have_text("42 records of 42")
    page.select_option("#result", "invalid")
    assert shown_records(page) == ["broken"]
    page.select_option("#result", "all")
    page.select_option("#category", "=maths")
    page.select_option("#result", "wrong")
    wrong = shown_records(page)
    assert 0 < len(wrong) < 14
    page.select_option("#result", "all")
    page.select_option("#category", "")
    page.fill("#search", "question 17")
    expect(page.locator("#found")).to_have_text("1 record of 42")
    assert shown_records(page) == ["p17"]
    page.fill("#search", "document.TITLE='owned'\"> ]]>")  # in the critiques of all, with a quote that JSON escapes
    expect(page.locator("#found")).to_have_text("41 records of 42")
    page.fill("#search", "")
    expect(page.locator("#found")).to_have_text("42 records of 42")
    for _ in range(2):
        page.click("#head .c-confidence button")
    sure = [float(text.rstrip("%")) for text in page.locator(".rows .c-confidence").all_inner_texts() if text]
    assert sure == sorted(sure, reverse=True)
    assert page.locator("#head .c-confidence").get_attribute("aria-sort") == "descending"


def test_keys_alone_reach_everything(opened: OpenPage) -> None:
    page = opened("pairs")
    page.get_by_role("link", name="Records (42)").press("Enter")
    expect(page.locator("#list")).to_be_focused()
    for key in ("End", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#record-title").inner_text() == "p39"
    page.keyboard.press("j")
    assert page.locator("#record-title").inner_text() == "broken"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    current = page.locator(f"#{page.locator('#list').get_attribute('aria-activedescendant')}")
    assert current.locator(".c-id").inner_text() == "p39"
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    expect(page.locator("#search")).to_have_value("")


def test_keys_in_quick_succession_each_count(opened: OpenPage) -> None:
    page = opened("pairs", "#record-2")
    press = "dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))"
    page.evaluate(f"for (const key of ['j', 'j', 'k', 'j']) document.body.{press}")
    assert page.locator("#record-title").inner_text() == "p2"
    page.go_back()
    expect(page.locator("#record-title")).to_have_text("p1")


def test_a_record_says_what_the_judge_did(opened: OpenPage) -> None:
    page = opened("pairs", "#record-2")
    data = page.evaluate("JSON.parse(document.querySelector('.chunk').textContent)[1]")
    judged = page.locator(".judged").inner_text()
    for one in data["judgments"]:
        assert f"Verdict: {one['label'].strip()}" in judged
        assert f"{one['margin']:.2f} nats" in judged
    assert ("Answer A shown first" in judged, "Answer B shown first" in judged) == (True, True)
    for label, share in data["probabilities"].items():
        assert f"answer {label}" in judged
        assert f"{100 * share:.1f}%" in judged
    assert judged.count("The first one is sound.") == 2


def test_differences_are_marked_and_nothing_is_lost(opened: OpenPage) -> None:
    page = opened("pairs", "#record-1")
    marked = page.locator(".answer mark").all_inner_texts()
    assert marked == ["RIGHT", "three", "WRONG", "3"]
    texts = page.locator(".answer .text").all_text_contents()
    assert texts == [hostile_pair()["answer_a"], hostile_pair()["answer_b"]]
    page.uncheck("#mark-differences")
    assert page.locator(".answer mark").count() == 0


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("a b c d", "a x c d", "a c d"),
        ("the same", "the same", "the same"),
        ("one two three", "one two three four", "one two three"),
        ("Straße, naïve", "Straße, naive", "Straße,"),
    ],
)
def test_differences_are_those_of_the_words(opened: OpenPage, first: str, second: str, same: str) -> None:
    page = opened("pairs")
    # The page's own source, as its module keeps its names to itself.
    source = (Path(__file__).parents[2] / "fare_cli/viewer/web/differences.js").read_text(encoding="utf-8")
    found = page.evaluate(f"(([one, other]) => {{ {source}; return differences(one, other); }})", [first, second])
    for pieces, text in zip(found, (first, second), strict=True):
        assert "".join(piece for _, piece in pieces) == text
        assert " ".join("".join(piece for is_same, piece in pieces if is_same).split()) == same


def test_very_different_and_very_long_answers_cost_little(opened: OpenPage) -> None:
    page = opened("pairs")
    source = (Path(__file__).parents[2] / "fare_cli/viewer/web/differences.js").read_text(encoding="utf-8")
    run = f"(([one, other]) => {{ {source}; return differences(one, other); }})"
    long = " ".join(f"word{number}" for number in range(100_000))
    assert page.evaluate(run, [long, " ".join(f"other{number}" for number in range(100_000))]) is None
    (pieces, _) = page.evaluate(run, [long, long.replace("word50000", "changed")])
    assert [piece for same, piece in pieces if not same] == ["word50000"]


def test_steps_show_the_first_wrong_one(opened: OpenPage, pages: dict[str, Path]) -> None:
    page = opened("mixed", "#records")
    page.select_option("#set", "1")
    wrong = page.evaluate("JSON.parse(document.getElementById('index').textContent).columns.verdict.indexOf('1', 42)")
    page.evaluate(f"location.hash = 'record-{wrong + 1}'")
    page.wait_for_selector(".steps li")
    assert "first wrong step, says the judge" in page.locator(".steps li").nth(1).inner_text()
    assert page.locator(".steps .wrong-step").count() == 1


def test_blind_verdicts_are_taken_kept_and_saved(opened: OpenPage, tmp_path: Path) -> None:
    page = opened("blind", "#records", accept_downloads=True)
    assert page.locator("#found").inner_text() == "41 records of 42"  # what could not be judged is nothing to decide on
    page.evaluate("location.hash = 'record-3'")
    page.wait_for_selector(".choices")
    visible = page.locator("#view-record").inner_text()
    assert "judge" not in visible
    assert "p1" not in visible
    page.keyboard.press("1")
    assert page.evaluate("document.activeElement.id") == "reviewer"  # a verdict needs a name
    page.fill("#reviewer", "Ada L.")
    page.locator(".choices button").first.click()
    page.fill("#note", "A line\nand </script>")
    page.click("#next")
    page.keyboard.press("0")
    page.reload()
    assert page.locator("#mine-count").inner_text() == "2 verdicts, 1 note"
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "Ada-L.review.jsonl"
    path = tmp_path / "saved.jsonl"
    download.value.save_as(path)
    events = list(read_events(path))
    by_record = {event.record: event for event in standing(events, blind=True).values()}
    assert set(by_record) == {"p1", "p2"}
    first_shown = {"ab": "A", "ba": "B"}[by_record["p1"].order or ""]
    assert (by_record["p1"].verdict, by_record["p1"].note) == (first_shown, "A line\nand </script>")
    assert (by_record["p2"].verdict, by_record["p2"].reviewer, by_record["p2"].blind) == ("tie", "Ada L.", True)


def test_a_blind_verdict_means_the_answer_that_was_chosen(opened: OpenPage, tmp_path: Path) -> None:
    page = opened("blind", "#record-2")
    page.fill("#reviewer", "Ada")
    shown = {}
    for number in range(2, 14):
        page.evaluate(f"location.hash = 'record-{number}'")
        expect(page.locator("#record-title")).to_have_text(f"Record {number}")
        shown[f"p{number - 2}"] = page.locator(".answer .text").first.text_content()
        page.locator(".choices button").first.click()
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "ada.jsonl")
    events = list(read_events(tmp_path / "ada.jsonl"))
    assert {event.order for event in events} == {"ab", "ba"}
    records = {one["id"]: one for one in TASKS["pairwise"]}
    for event in events:
        assert event.verdict == ("A" if event.order == "ab" else "B")
        assert records[event.record][f"answer_{str(event.verdict).lower()}"] == shown[event.record]


def test_what_is_said_after_a_look_at_the_judge_is_not_blind(opened: OpenPage, tmp_path: Path) -> None:
    page = opened("blind", "#record-4")
    page.fill("#reviewer", "Bo")
    page.locator("h1#record-title").click()
    page.keyboard.press("1")
    assert page.locator(".judged").count() == 0
    page.get_by_role("button", name="Show what the judge said").click()
    assert page.locator(".judged").count() == 1
    page.get_by_role("button", name="Equally good").click()
    page.keyboard.press("u")
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "bo.jsonl")
    events = list(read_events(tmp_path / "bo.jsonl"))
    assert [event.blind for event in events] == [True, False, False, False]
    assert events[1].verdict == events[0].verdict  # the look
    assert events[2].verdict == "tie"
    assert events[3].verdict == events[0].verdict  # undone
    # On another computer it was still looked at.
    (tmp_path / "looked.jsonl").write_text("".join(f"{one.to_line()}\n" for one in events[:2]), "utf-8")
    other = opened("blind")
    other.fill("#reviewer", "Bo")
    other.set_input_files("#take", tmp_path / "looked.jsonl")
    expect(other.locator("#mine-count")).to_have_text("1 verdict, 0 notes")
    other.evaluate("location.hash = 'record-4'")
    other.get_by_role("button", name="Equally good").click()
    with other.expect_download() as download:
        other.click("#save")
    download.value.save_as(tmp_path / "again.jsonl")
    assert [event.blind for event in read_events(tmp_path / "again.jsonl")] == [True, False, False]


def test_a_saved_file_is_taken_up_again(opened: OpenPage, tmp_path: Path) -> None:
    page = opened("pairs", "#record-2")
    page.fill("#reviewer", "Ada")
    page.locator(".choices button").nth(1).click()
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "ada.jsonl")
    other = opened("pairs")
    other.fill("#reviewer", "Ada")
    other.set_input_files("#take", tmp_path / "ada.jsonl")
    expect(other.locator("#mine-count")).to_have_text("1 verdict, 0 notes")
    (tmp_path / "bad.jsonl").write_text('{"review": 1}\n')
    other.set_input_files("#take", tmp_path / "bad.jsonl")
    expect(other.locator("#said")).to_contain_text("line 1 is no verdict")


def test_a_browser_that_keeps_nothing_says_so(opened: OpenPage) -> None:
    page = opened("pairs")
    page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    page.goto(page.url + "#record-2")
    page.reload()
    page.fill("#reviewer", "Ada")
    page.locator("h1#record-title").click()
    assert page.locator("#not-kept").is_visible()


@pytest.mark.parametrize("task", [0, 1, 2, 3])
def test_every_button_writes_a_verdict_that_fare_reads(opened: OpenPage, tmp_path: Path, task: int) -> None:
    page = opened("mixed", "#records")
    page.fill("#reviewer", "Ada")
    page.select_option("#set", str(task))
    page.locator(".rows [role=row]").nth(1).click()
    page.wait_for_selector(".choices button")
    labels = [button.get_attribute("data-label") for button in page.locator(".choices button").all()]
    for label in labels:
        page.locator(f'.choices [data-label="{label}"]').click()
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "all.jsonl")
    assert [event.verdict for event in read_events(tmp_path / "all.jsonl")] == labels
    assert len(labels) >= 2


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_serious_barrier_for_anybody(opened: OpenPage, colours: str, width: int) -> None:
    size = {"width": width, "height": 900}
    for name, views in {
        "mixed": ("#overview", "#records", "#record-1", "#record-45", "#record-100", "#words"),
        "blind": ("#overview", "#records", "#record-3"),
        "bare": ("#records", "#record-1"),
    }.items():
        page = opened(name, color_scheme=colours, viewport=size)
        for view in views:
            page.evaluate(f"location.hash = '{view}'")
            page.wait_for_timeout(50)
            assert axe_findings(page) == [], f"{name}{view}"
        page.close()


def test_nothing_is_wider_than_a_telephone(opened: OpenPage) -> None:
    page = opened("mixed", viewport={"width": 360, "height": 740})
    for view in ("#overview", "#records", "#record-1", "#record-45", "#words"):
        page.evaluate(f"location.hash = '{view}'")
        page.wait_for_timeout(50)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view


def test_paper_gets_the_list_and_the_record(opened: OpenPage) -> None:
    page = opened("pairs", "#records")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#printed tbody tr").count() == 42
    assert page.locator("#printed").is_visible()
    assert not page.locator("#list").is_visible()
    assert not page.locator("header").is_visible()
    page.evaluate("location.hash = 'record-1'")
    page.wait_for_selector(".judged")
    assert page.locator(".answer").first.is_visible()


def test_verdicts_without_texts_say_so(opened: OpenPage) -> None:
    page = opened("bare", "#record-2")
    assert "--no-record" in page.locator("#record").inner_text()
    assert page.locator(".choices").count() == 0
    assert page.locator(".judged").is_visible()


def test_only_the_rows_in_sight_exist(opened: OpenPage) -> None:
    page = opened("mixed", "#records", viewport={"width": 1280, "height": 600})
    assert page.locator("#list").get_attribute("aria-rowcount") == "132"
    assert page.locator(".rows [role=row]").count() < 50
    page.keyboard.press("End")
    assert page.locator(".rows .c-id").last.inner_text() == shown_records(page)[-1] == "r24"


def test_the_words_of_a_review_are_those_of_its_format() -> None:
    source = (Path(__file__).parents[2] / "fare_cli/viewer/web/opinions.js").read_text(encoding="utf-8")
    pushed = source.split("opinions.events.push({")[1].split("});")[0]
    names = {line.strip().split(":")[0].rstrip(",") for line in pushed.splitlines() if line.strip()}
    assert names == set(ReviewEvent.model_fields)
