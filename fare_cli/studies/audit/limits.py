"""Limits on a judge's weaknesses: `injection=5%` at most may flip, `detection=80%` at least must be noticed."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.errors import ExitCode, InvalidRecordsError, UsageError
from fare_cli.meta.agreement import records_needed
from fare_cli.report.words import share_in_words
from fare_cli.studies.audit.audit import Audit
from fare_cli.studies.audit.catalogue import NAMES, PERTURBATIONS, PLANTED_KIND, Chosen
from fare_cli.studies.audit.findings import Detection
from fare_cli.studies.audit.planting import PLANTED
from fare_cli.studies.limits import Limit, Ruling, outcome, read_limit

DETECTION = "detection"
"""The share of all planted errors that is noticed."""

_AT_LEAST = (DETECTION, *(one.name for one in PLANTED))
_MEASURES = (*(name for name in NAMES if name != PLANTED_KIND), DETECTION)


def parse_limit(text: str, chosen: Chosen) -> Limit:
    """A limit on a perturbation, a class of them, a planted error, or on `detection`.

    Raises UsageError for what is none, and for what `chosen` does not try.
    """
    limit = read_limit(text, _MEASURES, "injection=5%, padding=10% or detection=80%")
    tried = {name for one in chosen.perturbations for name in (one.name, one.kind)}
    tried |= {one.name for one in chosen.plantings} | ({DETECTION} if chosen.plantings else set())
    if limit.measure not in tried:
        raise UsageError(f"--fail-on {text!r}: --only leaves {limit.measure} out", f"add --only {limit.measure}")
    return limit


def rulings(audit: Audit, limits: Sequence[Limit]) -> list[Ruling]:
    """Every limit. Raises InvalidRecordsError for one on what no record could be tried with."""
    return [_ruling(audit, limit) for limit in limits]


def _ruling(audit: Audit, limit: Limit) -> Ruling:
    if limit.measure in _AT_LEAST:
        share = _detection(audit, limit.measure).noticed
        found = outcome(share.interval, at_least=limit.value)
        return Ruling(limit.measure, limit, found, f"{share_in_words(share)} noticed")
    kinds = (*audit.findings.by_name, *audit.findings.by_kind)
    finding = next((one for one in kinds if one.name == limit.measure), None)
    if finding is None or not finding.flips.of:
        raise _untried(limit.measure)
    found = outcome(finding.flips.interval, at_most=limit.value)
    words = f"{share_in_words(finding.flips)} flipped"
    if found is ExitCode.UNDECIDED and not finding.flips.cases:
        words += f"; {records_needed(limit.value)} questions without a flip would show it"
    return Ruling(limit.measure, limit, found, words)


def _detection(audit: Audit, name: str) -> Detection:
    found = audit.detection if name == DETECTION else next((one for one in audit.planted if one.name == name), None)
    if found is None or not found.noticed.of:
        raise _untried(name)
    return found


def _untried(name: str) -> InvalidRecordsError:
    needs = next((one.description for one in PERTURBATIONS if one.name == name), None)
    return InvalidRecordsError(
        f"no record could be tried with {name}, so no limit on it can be kept", needs or "fare audit --list"
    )
