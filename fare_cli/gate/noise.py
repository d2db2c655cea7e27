"""How often a judge changes its verdict by itself, from wherever that is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fare_cli.errors import InputError, UsageError
from fare_cli.gate.baseline import Pair, pair_up, repeats_noise
from fare_cli.gate.measures import Measure, Scale
from fare_cli.gate.reading import GatedRun, read_run
from fare_cli.meta.paired import Noise
from fare_cli.studies.audit.findings import NOISE
from fare_cli.studies.limits import read_share

_HINT = "a share (5%), the report of fare audit --json, or the baseline judged once more (another --seed)"


def noise_from(given: str, measure: Measure, scale: Scale, baseline: GatedRun, *, max_invalid: float) -> Noise:
    """The noise that `--noise` names: a share, an audit's report as JSON, or verdicts on the baseline's records.

    What flips is a verdict; of scores it is taken to move by one point. Raises UsageError or InputError for what is
    none of these, or of another judge.
    """
    size = 1.0 / (scale.high - scale.low)
    if not Path(given).exists():
        return Noise(read_share(given, "--noise", _HINT), size)
    if Path(given).suffix == ".json":
        return Noise(_audited(Path(given), baseline), size)
    again = read_run(given, records=None, max_invalid=max_invalid)
    _check_repeat(baseline, again)
    # Another seed is another fingerprint, and the same judge for all that matters here.
    as_baseline = GatedRun(again.name, again.cases, baseline.fingerprint, again.identity, again.facts)
    pairs = pair_up(baseline, as_baseline, max_invalid=max_invalid).pairs
    found = repeats_noise(measure, [Pair(one, other) for one, other in pairs])
    if found is None:
        raise InputError(f"--noise {given}: the judge was shown other records than in the baseline", _HINT)
    return found


def _audited(path: Path, baseline: GatedRun) -> float:
    """The share of paraphrases that flipped, in the report of an audit of this judge."""
    try:
        report = json.loads(path.read_bytes())
        fingerprint = str(report["facts"]["fingerprint"])
        rows = report["tables"]["classes"]["rows"]
        rate = next(float(row["flipped"]["share"]) for row in rows if row["class"] == NOISE)
    except StopIteration:
        raise InputError(f"--noise {path}: that audit could judge no paraphrase", _HINT) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"--noise {path} is no report of fare audit", "fare audit RECORDS --json > audit.json"
        ) from None
    if fingerprint != baseline.fingerprint:
        raise InputError(f"--noise {path} is of another judge ({fingerprint}, not {baseline.fingerprint})")
    return rate


def _check_repeat(baseline: GatedRun, again: GatedRun) -> None:
    if not again.identity or not baseline.identity:
        raise UsageError(f"--noise {again.name}: whether it is the same judge cannot be told without both manifests")
    if _but_for_seed(baseline.identity) != _but_for_seed(again.identity):
        raise InputError(f"--noise {again.name} is of another judge ({again.fingerprint}, not {baseline.fingerprint})")


def _but_for_seed(identity: Mapping[str, Any]) -> dict[str, Any]:
    names = ("task", "weights", "prompts", "options")
    known = {name: identity.get(name) for name in names}
    return {**known, "options": {**(identity.get("options") or {}), "seed": None}}
