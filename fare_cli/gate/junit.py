"""The outcome as JUnit XML, which CI servers show as test cases: one for each limit.

A broken limit is a `failure`. An undecided one is an `error`, as is verdicts that cannot be gated at all: the test did
not fail, it could not be decided. The dialect is that of Jenkins' xUnit plugin (junit-10.xsd), which others read too.
"""

from __future__ import annotations

from xml.etree import ElementTree

from fare_cli.errors import ExitCode, FareError, visible
from fare_cli.gate.check import Check
from fare_cli.gate.gate import GateResult

_SUITE = "fare gate"
# What XML 1.0 cannot hold, apart from the control characters that `visible` writes out.
_NO_XML = {0xFFFE: None, 0xFFFF: None}


def junit_xml(result: GateResult) -> str:
    """The document, one test case a limit; `properties` say by which judge."""
    suite = ElementTree.Element("testsuite")
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in result.report().facts.items():
        if value is not None and not isinstance(value, dict):
            ElementTree.SubElement(properties, "property", name=name, value=_text(str(value)))
    for check in result.checks:
        _add(suite, result, check)
    ElementTree.SubElement(suite, "system-out").text = _text("\n".join([result.title, *result.warnings]))
    return _document(suite)


def junit_fault(error: FareError) -> str:
    """The document of a gate that could not look at its verdicts."""
    suite = ElementTree.Element("testsuite")
    case = ElementTree.SubElement(suite, "testcase", classname=_SUITE, name="verdicts", time="0")
    fault = ElementTree.SubElement(case, "error", type=error.exit_code.name.lower(), message=_text(error.message))
    fault.text = _text("\n".join(filter(None, [error.message, error.hint])))
    return _document(suite)


def _add(suite: ElementTree.Element, result: GateResult, check: Check) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_SUITE, name=_text(check.name), time="0")
    taken = result.plan.undecided
    is_undecided = check.outcome is ExitCode.UNDECIDED
    if check.outcome is ExitCode.OK or (is_undecided and taken == "pass"):
        said = check.words + ("; undecided, taken as pass" if is_undecided else "")
        ElementTree.SubElement(case, "system-out").text = _text(said)
        return
    kind = "error" if is_undecided and taken is None else "failure"
    found = ElementTree.SubElement(case, kind, type=check.decided, message=_text(check.words))
    blamed = [f"{one.case.place} {one.case.id}: {one.words}".strip() for one in result.blamed]
    found.text = _text("\n".join([check.words, *blamed]))


def _document(suite: ElementTree.Element) -> str:
    """The suite with its counts, inside a document of its own."""
    counts = {
        "tests": str(len(suite.findall("testcase"))),
        "failures": str(len(suite.findall("testcase/failure"))),
        "errors": str(len(suite.findall("testcase/error"))),
    }
    suite.attrib.update({"name": _SUITE, **counts, "skipped": "0", "time": "0"})
    document = ElementTree.Element("testsuites", {"name": _SUITE, **counts})
    document.append(suite)
    ElementTree.indent(document)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(document, encoding="unicode") + "\n"


def _text(text: str) -> str:
    return visible(text).translate(_NO_XML)
