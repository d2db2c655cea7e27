"""`baselines`: how far records can be judged without judging, to set beside what a trained judge reaches."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from fare_cli.report.model import Report
    from training.guessing.likelihood import Model
    from training.manifest import Plan

_PACKAGES = ("scikit-learn", "scipy", "numpy", "llama-cpp-python")
_Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BaselineOptions:
    """What is learnt from which file, and tried on which (by name).

    `fit_records` is how many training records of each task are learnt from at most, `likelihood_records` how many
    records of each task and file the model reads at most.
    """

    train: Path
    tests: Mapping[str, Path]
    fit_records: int = 10_000
    likelihood_records: int = 500
    seed: int = 0

    def plan(self, model: Model | None, page: Path | None) -> Plan:
        from training.manifest import plan

        options = {
            "tests": list(self.tests),
            "fit_records": self.fit_records,
            "likelihood": None if model is None else model.identity("verify").weights,
            "likelihood_records": None if model is None else self.likelihood_records,
            "page": page is not None,
        }
        return plan("baselines", [self.train, *self.tests.values()], options, self.seed)


def command(
    train: Annotated[Path, typer.Argument(metavar="TRAIN", help="The records that a judge is trained on, with gold.")],
    test: Annotated[
        list[str], typer.Option("--test", metavar="NAME=FILE", help="Records with gold to be tried on; repeatable.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE.json", help="Write the report there.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE.html", help="Write it there, too, as a page with plots.")
    ] = None,
    likelihood: Annotated[
        str | None,
        typer.Option("--likelihood", metavar="NAME|FILE.gguf", help="Also what this model finds likely: the base."),
    ] = None,
    likelihood_records: Annotated[
        int,
        typer.Option("--likelihood-records", metavar="N", min=1, help="Of each task and file, it reads at most N."),
    ] = 500,
    fit_records: Annotated[
        int, typer.Option("--fit-records", metavar="N", min=1, help="Learn from at most N records of each task.")
    ] = 10_000,
    threads: Annotated[int | None, typer.Option("--threads", help="CPU threads of the model.")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Decides which records, where not all are.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> int:
    """Try on records with gold what knows nothing of judging, so that a judge's figures can be compared with it.

    Chance, the most frequent label, lengths, a bag of words, for verify whether the answer contains the reference, for
    pairs whether numbers repeat, and how likely a model finds the answers. All is learnt from TRAIN alone and measured
    as fare eval measures a judge.
    """
    options = BaselineOptions(train, _named(test), fit_records, likelihood_records, seed)
    if likelihood is None:
        baselines(options, output, page=html, force=force)
        return 0
    from fare_cli.engine.options import EngineOptions
    from fare_cli.gguf.store import resolve_model
    from fare_cli.judge import Judge

    with Judge(resolve_model(likelihood), engine=EngineOptions(work="direct", threads=threads)) as model:
        baselines(options, output, model=model, page=html, force=force)
    return 0


def _named(tests: Sequence[str]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for text in tests:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise UsageError(
                f"--test {text}: a name and a file are wanted", "for example --test held-out=held-out.jsonl"
            )
        if name in named:
            raise UsageError(f"--test {text}: {name} is named twice", "every set under a name of its own")
        named[name] = Path(file)
    return named


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def baselines(
    options: BaselineOptions,
    output: Path,
    *,
    model: Model | None = None,
    page: Path | None = None,
    force: bool = False,
    say: _Say = _tell,
) -> Report | None:
    """Writes the report to `output` (and `page`), prints it, and gives it back; None where it was made before.

    What the model said is kept in a journal beside the output: an interrupted run goes on from there. Raises
    InvalidRecordsError for a test file without a record whose right label is known.
    """
    from fare_cli.cli.study import show_report, write_report
    from training.guessing.likelihood import likelihoods
    from training.guessing.records import all_of
    from training.guessing.study import Caps, Reading, read_sets, study
    from training.packages import need_packages

    need_packages("sklearn", "scipy", "numpy")
    begun = time.monotonic()
    work = options.plan(model, page)
    if not work.begin(output, force=force):
        say(f"{output} is finished already")
        return None
    caps = Caps(options.fit_records, options.likelihood_records, options.seed)
    sets = read_sets(options.train, options.tests, caps)
    reading = None
    if model is not None:
        asked = sets.to_read()
        reading = Reading(asked, likelihoods(model, all_of(asked.values()), output, say=say, force=force))
    facts = {
        "records": {one.file: one.sha256 for one in work.inputs},
        "likelihood of": None if model is None else f"{model.name} {model.identity('verify').weights}",
        "seed": options.seed,
    }
    report = study(sets, reading, facts)
    outputs = [output, *([page] if page is not None else [])]
    for path in outputs:
        write_report(report, path)
    work.write_manifest(outputs, sets.counts(), seconds=time.monotonic() - begun, packages=_PACKAGES)
    show_report(report, as_json=False, file=None)
    return report
