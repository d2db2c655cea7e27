"""What CI shows: JUnit by its schema, GitHub's annotations and limits, Markdown, whatever a record has for an id."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from fare_cli.errors import ExitCode, InvalidRecordsError
from fare_cli.gate.gate import GateResult
from fare_cli.gate.github import MOST_ANNOTATIONS, MOST_SUMMARY_BYTES, annotation_lines, command, summarise
from fare_cli.gate.junit import junit_fault, junit_xml
from fare_cli.gate.markdown import MOST_BYTES, markdown
from tests.gate.making import gated, judged_file
from tests.simulating import answers

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit-10.xsd"))

# What an id may try: to end a command, an attribute, a cell, a code span; to give a command; to be seen or called.
HOSTILE = (
    "::set-env name=PATH::x",
    "a\n::error::forged",
    "%0A::error::x",
    "]]></failure><testcase name='forged'/>",
    "| `x` | @everyone ![x](https://example.org/x.png)",
    "<script>alert(1)</script>",
    "\x1b[31mred\x00\x08",
    "‮right to left ￾",
    ",line=1::forged",
    "``` ~~~",
)


def worse(tmp_path: Path, ids: list[str]) -> GateResult:
    """A change in which all records with these ids got worse, in a folder with an awkward name."""
    folder = tmp_path / "a, b: c%"
    folder.mkdir()
    records = [{"id": id, "question": f"question {number}", "answer": "RIGHT"} for number, id in enumerate(ids)]
    before = judged_file(folder / "before.jsonl", "verify", records)
    after = judged_file(folder / "after.jsonl", "verify", [{**record, "answer": "WRONG"} for record in records])
    return gated(after, "min-right=90%", baseline=before)


@pytest.fixture
def hostile(tmp_path: Path) -> GateResult:
    return worse(tmp_path, [*HOSTILE, *(f"plain {number}" for number in range(20))])


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return judged_file(tmp_path / "plain.jsonl", "verify", answers(80))


def cases_of(text: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(text).findall("testsuite/testcase")


@pytest.mark.parametrize(
    ("limit", "undecided", "children"),
    [
        ("min-right=30%", None, ["system-out"]),
        ("min-right=70%", None, ["failure"]),
        ("min-right=50%", None, ["error"]),
        ("min-right=50%", "fail", ["failure"]),
        ("min-right=50%", "pass", ["system-out"]),
    ],
)
def test_junit_is_valid_and_tells_failed_from_undecided(
    plain: Path, limit: str, undecided: str | None, children: list[str]
) -> None:
    text = junit_xml(gated(plain, limit, undecided=undecided))
    SCHEMA.validate(text)
    document = ElementTree.fromstring(text)
    (case,) = cases_of(text)
    assert [child.tag for child in case] == children
    assert case.get("name") == limit
    for counted in (document, document.find("testsuite")):
        assert counted is not None
        assert counted.get("tests") == "1"
        assert counted.get("failures") == str(children.count("failure"))
        assert counted.get("errors") == str(children.count("error"))


def test_junit_of_verdicts_that_cannot_be_gated_is_an_error() -> None:
    text = junit_fault(InvalidRecordsError("x.jsonl is not complete", "run it again"))
    SCHEMA.validate(text)
    (case,) = cases_of(text)
    (fault,) = case
    assert (fault.tag, fault.get("type"), fault.get("message")) == ("error", "invalid", "x.jsonl is not complete")


def test_no_record_can_forge_a_test_case(hostile: GateResult) -> None:
    text = junit_xml(hostile)
    SCHEMA.validate(text)
    assert [case.get("name") for case in cases_of(text)] == ["right against the baseline", "min-right=90%"]
    assert "\\x1b" in text


def test_the_schema_would_find_a_fault() -> None:
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        SCHEMA.validate("<testsuites><testsuite name='x' tests='1' errors='0'/></testsuites>")


def test_annotations_are_few_on_one_line_and_name_the_record(hostile: GateResult) -> None:
    lines = annotation_lines(hostile)
    assert len(lines) == MOST_ANNOTATIONS
    for line in lines:
        assert "\n" not in line
        assert "\r" not in line
        found = re.fullmatch(r"::error (title=fare gate|file=[^,:]*,line=\d+,title=fare gate)::.*", line)
        assert found, line
    assert lines[0].startswith("::error title=fare gate::right against the baseline: fail, -100.0%")
    assert "file=" in lines[-1]
    assert "a%2C b%3A c%25/after.in.jsonl" in lines[-1]


def test_a_command_is_escaped_as_githubs_toolkit_does() -> None:
    assert command("error", "50% of\na, b: c", file="x,y:z%.jsonl", line="3") == (
        "::error file=x%2Cy%3Az%25.jsonl,line=3::50%25 of%0Aa, b: c"
    )


def test_what_passes_has_no_errors(plain: Path) -> None:
    assert annotation_lines(gated(plain, "min-right=30%")) == []
    (taken,) = annotation_lines(gated(plain, "min-right=50%", undecided="pass"))
    assert taken.startswith("::notice ")


def test_markdown_shows_the_limits_and_no_record_gets_out_of_its_cell(hostile: GateResult) -> None:
    text = markdown(hostile)
    assert "### fare gate: fail" in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == 2 + 30
    for row in rows[2:]:
        # Outside of code spans there is nothing but cells and the word at the end.
        outside = re.sub(r"`[^`]*`", "", row)
        assert re.fullmatch(r"\|  \|  \|  \|  \| worse \|", outside), row
        assert len(re.findall(r"(?<!\\)\|", row)) == 6


def test_markdown_keeps_to_its_limit_and_says_what_it_left_out(tmp_path: Path) -> None:
    result = worse(tmp_path, [f"{'é' * 300} {number}" for number in range(400)])
    text = markdown(result)
    assert len(text.encode()) <= MOST_BYTES
    shown = text.count("| worse |")
    assert 10 < shown < 400
    assert f"400 records got worse, 0 better. The table has the first {shown}." in text


def test_the_summary_of_a_step_grows_to_a_mebibyte_and_no_further(plain: Path, tmp_path: Path) -> None:
    result = gated(plain, "min-right=30%")
    summary = tmp_path / "summary.md"
    for _ in range(2):
        summarise(result, summary)
    assert summary.read_text() == 2 * markdown(result)
    summary.write_bytes(b"x" * (MOST_SUMMARY_BYTES - 10))
    summarise(result, summary)
    assert summary.stat().st_size == MOST_SUMMARY_BYTES - 10


def test_the_report_for_machines_has_outcome_and_figures(plain: Path) -> None:
    report = gated(plain, "min-right=30%").report().to_json()
    assert (report["facts"]["outcome"], report["facts"]["exit code"]) == ("pass", ExitCode.OK)
    (row,) = report["tables"]["limits"]["rows"]
    assert (row["limit"], row["outcome"], row["value"]["value"]) == ("min-right=30%", "pass", 0.5)
    assert row["value"]["interval"] == pytest.approx([0.393, 0.607], abs=1e-3)
