"""What a cascade costs and how often it is right, against one stage for all records.

`python -m benchmarks.cascade RECORDS FOLDER [MODEL] [MAX_TOKENS] [TOLERANCE]` judges records with gold directly, with
critiques, and with votes (one record of each of 200 questions, drawn with a fixed seed), learns thresholds on every
second one, and measures on the others what each stage is alone, what the cascade is by these thresholds, and by fare's
own. Verdicts are kept in FOLDER, so that the same command goes on after an interruption; the report is
FOLDER/report.html, its plot FOLDER/plot.svg.

`python -m benchmarks.cascade --simulated FOLDER` does the same with a judge that is calibrated, right in 80% directly
and in 90% with a critique of 200 tokens, on 4,000 answers.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fare_cli.asks import Ask, Direct, Judgment, Reply
from fare_cli.backends.replay import ReplayBackend, SimulatedJudge
from fare_cli.identity import JudgingOptions
from fare_cli.judge import BackendJudge, Judge
from fare_cli.report.model import Report
from fare_cli.report.page import page
from fare_cli.report.text import text_lines
from fare_cli.studies.evaluating.cascading import TOLERANCE, cascade_parts, learn_thresholds
from fare_cli.studies.evaluating.running import Keeping, judge_source
from fare_cli.studies.evaluating.sources import Reading, record_source
from fare_cli.studies.evaluating.verdict_set import VerdictSet
from fare_cli.thresholds import LearntThresholds

_QUESTIONS = 200
OpenJudge = Callable[[JudgingOptions, LearntThresholds | None], Judge | BackendJudge]
_COLOURS = {"c0": "#2f6db3", "c1": "#c4561a", "c2": "#3b8a4e", "c3": "#8a5bb0", "line": "#ddd", "quiet": "#666"}


def compare(open_judge: OpenJudge, records: Path, folder: Path, max_tokens: int, tolerance: float) -> Report:
    """The report on the second half of the records."""
    auto = JudgingOptions(mode="auto", votes="auto", temperature=0.7, max_tokens=max_tokens)
    stages = {
        "direct": JudgingOptions(mode="direct"),
        "critique": JudgingOptions(max_tokens=max_tokens),
        "votes": replace(auto, mode="critique", thresholds=None),
    }
    kept = [_judged(open_judge(options, None), records, folder / name) for name, options in stages.items()]
    learnt = learn_thresholds([_half(one, 0) for one in kept], tolerance=tolerance)
    learnt.thresholds.write(folder / "thresholds.json")
    others = [_half(one, 1) for one in kept]
    _share_replies([folder / name for name in stages], folder / "auto")
    cascade = _half(_judged(open_judge(auto, learnt.thresholds), records, folder / "auto"), 1)
    facts = {
        "records learnt on": learnt.thresholds.records,
        "judge": kept[0].judge,
        "cascade as it ran": _run_in_words(cascade),
        "thresholds": {"direct": learnt.thresholds.direct, "critique": learnt.thresholds.critique},
    }
    parts = cascade_parts(others, learnt.thresholds)
    return Report("a cascade on records that it was not learnt on", facts, tuple(parts), tuple(learnt.warnings))


def _judged(judge: Judge | BackendJudge, records: Path, folder: Path) -> VerdictSet:
    folder.mkdir(parents=True, exist_ok=True)
    source = record_source(str(records), Reading(None, {}, None, None, None))
    found = judge_source(judge, source, keeping=Keeping(folder=folder, force=True))
    if isinstance(judge, Judge):
        judge.close()
    print(f"{folder.name}: {_run_in_words(found)}", file=sys.stderr)
    return found


def _share_replies(stages: Sequence[Path], cascade: Path) -> None:
    """Gives the cascade's journal the replies of its stages, which are asked the very same."""
    cascade.mkdir(parents=True, exist_ok=True)
    for journal in (path for folder in stages for path in folder.glob("*.journal.jsonl")):
        shared = cascade / journal.name
        if not shared.exists():
            parts = [(folder / journal.name).read_bytes() for folder in stages]
            shared.write_bytes(b"".join(parts))


def _half(found: VerdictSet, which: int) -> VerdictSet:
    return replace(found, cases=found.cases[which::2])


def _run_in_words(found: VerdictSet) -> str:
    scored = [case for case in found.cases if case.correct is not None]
    right = sum(bool(case.correct) for case in scored)
    prompt = sum(case.usage.prompt_tokens for case in scored) / len(scored)
    written = sum(case.usage.generated_tokens for case in scored) / len(scored)
    return f"{right} of {len(scored)} right, {prompt:,.0f} prompt tokens and {written:,.0f} generated a record"


def _simulated(options: JudgingOptions, thresholds: LearntThresholds | None) -> BackendJudge:
    return BackendJudge(ReplayBackend(_answer), options=options, thresholds=thresholds)


def _truth(ask: Ask) -> str | None:
    texts = [piece.text for message in ask.messages for piece in message.pieces if not piece.ours]
    return " yes" if any(text.startswith("RIGHT") for text in texts) else " no"


_AT_ONCE = SimulatedJudge(_truth, accuracy=0.8, calibration=1.0)
_IN_WRITING = SimulatedJudge(_truth, accuracy=0.9, calibration=1.0, noise=1.5)


def _answer(ask: Ask) -> Reply:
    assert isinstance(ask.script, Direct | Judgment)
    return _AT_ONCE(ask) if isinstance(ask.script, Direct) else replace(_IN_WRITING(ask), generated_tokens=200)


def _simulated_records(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "records.jsonl"
    golds = ["yes" if number % 3 else "no" for number in range(4000)]
    path.write_text(
        "".join(
            json.dumps({"question": f"question {n}", "answer": f"{'RIGHT' if g == 'yes' else 'WRONG'} {n}", "gold": g})
            + "\n"
            for n, g in enumerate(golds)
        )
    )
    return path


def _drawn(records: Path, folder: Path) -> Path:
    """One record of each of so many questions."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    random.Random(0).shuffle(rows)
    by_question: dict[str, str] = {}
    for row in rows:
        by_question.setdefault(row["question"], json.dumps(row) + "\n")
    path = folder / "records.jsonl"
    path.write_text("".join(list(by_question.values())[:_QUESTIONS]), encoding="utf-8")
    return path


def _write(report: Report, folder: Path) -> None:
    html = page(report)
    (folder / "report.html").write_text(html)
    (folder / "report.json").write_text(json.dumps(report.to_json(), indent=2))
    drawn = re.search(r"<svg.*?</svg>", html, re.S)
    assert drawn is not None
    # By itself a picture has no style sheet to take its colours from.
    svg = re.sub(r"var\(--(\w+)\)", lambda name: _COLOURS[name[1]], drawn[0])
    svg = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13" ', 1)
    (folder / "plot.svg").write_text(svg + "\n")
    print("\n".join(text_lines(report)))


def main(arguments: Sequence[str]) -> None:
    if arguments[0] == "--simulated":
        folder = Path(arguments[1])
        _write(compare(_simulated, _simulated_records(folder), folder, 1024, TOLERANCE), folder)
        return
    records, folder = map(Path, arguments[:2])
    model, max_tokens, tolerance = (*arguments[2:], *("smollm2", "64", str(TOLERANCE))[len(arguments) - 2 :])

    def opened(options: JudgingOptions, thresholds: LearntThresholds | None) -> Judge:
        judge = Judge.open(model, options=options)
        judge.thresholds = thresholds
        return judge

    _write(compare(opened, _drawn(records, folder), folder, int(max_tokens), float(tolerance)), folder)


if __name__ == "__main__":
    main(sys.argv[1:])
