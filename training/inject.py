"""`inject`: correct data with errors put into it in known ways, as records whose labels are right by construction."""

from __future__ import annotations

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fare_cli.errors import UsageError

if TYPE_CHECKING:
    from training.injection.item import Injection
    from training.pieces import Pieces

_PACKAGES = ("scikit-learn", "scipy", "numpy")
_Source = dict[str, str]
_SOURCES: dict[str, _Source] = {
    "maths": {"source": "openai/grade-school-math", "licence": "MIT"},
    "code": {"source": "openai/human-eval", "licence": "MIT"},
    "tool": {"source": "ShishirPatil/gorilla", "licence": "Apache-2.0"},
    "facts": {"source": "RUCAIBox/HaluEval", "licence": "MIT"},
}


def command(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write the records there.")],
    maths: Annotated[
        list[Path] | None, typer.Option("--maths", metavar="FILE", help="Rows of GSM8K; repeatable.")
    ] = None,
    code: Annotated[
        list[Path] | None, typer.Option("--code", metavar="FILE", help="Rows of HumanEval; repeatable.")
    ] = None,
    tool: Annotated[list[Path] | None, typer.Option("--tool", metavar="FILE", help="Rows of BFCL; repeatable.")] = None,
    answers: Annotated[
        list[Path] | None,
        typer.Option("--answers", metavar="FILE", help="The possible answers to those rows; repeatable."),
    ] = None,
    facts: Annotated[
        list[Path] | None, typer.Option("--facts", metavar="FILE", help="Rows of HaluEval's QA; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed chooses other errors.")] = 0,
    report: Annotated[
        bool, typer.Option("--report", help="Print how far right and wrong are told apart by form alone.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> int:
    """Put errors into correct solutions, code, tool calls and short facts; each becomes records with gold.

    A wrong answer is proven wrong (recomputed, run, or checked) and paired with the right one. The manifest tells how
    far the two can be told apart by length, by a bag of words, and by numbers that repeat: 50% is chance.
    """
    files = {
        "maths": maths or [],
        "code": code or [],
        "tool": tool or [],
        "answers": answers or [],
        "facts": facts or [],
    }
    if not any(files[name] for name in _SOURCES):
        raise UsageError("there is nothing to put errors into", "name rows with --maths, --code, --tool or --facts")
    if bool(tool) != bool(answers):
        raise UsageError("--tool and --answers go together", "BFCL publishes possible answers beside its rows")
    manifest = inject(files, output, seed=seed, force=force)
    if report:
        typer.echo("\n".join(report_lines(manifest)))
    return 0


def inject(
    files: dict[str, list[Path]], output: Path, *, seed: int, force: bool = False, say: Any = typer.echo
) -> dict[str, Any]:
    """Writes the records of all errors to `output` and gives the counts of its manifest; a finished output stays.

    Raises InvalidRecordsError where no row could be used.
    """
    from fare_cli.errors import InvalidRecordsError
    from fare_cli.run.files import OutputFile
    from training.manifest import plan, read_manifest
    from training.packages import need_packages
    from training.pieces import Pieces

    need_packages("sklearn", "scipy", "numpy")
    started = time.monotonic()
    named = [path for paths in files.values() for path in paths]
    work = plan("inject", named, {name: len(paths) for name, paths in files.items()}, seed)
    if not work.begin(output, force=force):
        say(f"{output} is finished already", err=True)
        manifest = read_manifest(output)
        assert manifest is not None
        return manifest.counts
    with Pieces(output, work.fingerprint) as pieces:
        injected, skipped = _injected(files, seed, pieces)
        if not any(injected.values()):
            left_out = Counter({reason: count for found in skipped.values() for reason, count in found.items()})
            reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.most_common(3))
            raise InvalidRecordsError(
                f"no error could be put into any row ({reasons or 'there are none'})",
                "docs/training.md says which rows of which sets can be used",
            )
        counts = _counts(injected, skipped)
        with OutputFile(output) as out:
            for record in _records(injected, seed):
                out.write(json.dumps(record, ensure_ascii=False))
                counts["records"][_task(record)] += 1
            out.publish()
        work.write_manifest([output], counts, seconds=time.monotonic() - started, packages=_PACKAGES)
        pieces.discard()
    total = sum(counts["records"].values())
    say(f"{output}: {total} records of {sum(map(len, injected.values()))} errors", err=True)
    return counts


def _injected(
    files: dict[str, list[Path]], seed: int, pieces: Pieces
) -> tuple[dict[str, list[Injection]], dict[str, Counter[str]]]:
    """The errors by source, and what became of all else. Code is one piece a task, any other source one."""
    from fare_cli.importers.reading import read_rows
    from training.injection.bfcl import inject_calls
    from training.injection.gsm8k import inject_maths
    from training.injection.halueval import inject_facts
    from training.injection.humaneval import inject_code
    from training.injection.item import Injection

    named = {name: [str(path) for path in paths] for name, paths in files.items()}
    skipped: dict[str, Counter[str]] = {name: Counter() for name in _SOURCES if named[name]}
    injected: dict[str, list[Injection]] = {}
    for name in skipped:
        if name == "code":
            injected[name] = inject_code(read_rows(named[name]), seed, skipped[name], pieces)
            continue
        if name not in pieces:
            rows = read_rows(named[name])
            if name == "maths":
                found = inject_maths(rows, seed, skipped[name])
            elif name == "facts":
                found = inject_facts(rows, seed, skipped[name])
            else:
                found = inject_calls(rows, read_rows(named["answers"]), seed, skipped[name])
            pieces.add(name, {"injections": [one.to_json() for one in found], "skipped": skipped[name]})
        made = pieces[name]
        injected[name] = [Injection.from_json(values) for values in made["injections"]]
        skipped[name] = Counter(made["skipped"])
    return injected, skipped


def _records(injected: dict[str, list[Injection]], seed: int) -> Iterator[dict[str, Any]]:
    """All records. Of each kind the right answer is A in every second pair, which of the two first by chance."""
    from training.injection.item import records_of

    for source, injections in injected.items():
        numbers: Counter[str] = Counter()
        sides: defaultdict[str, bool] = defaultdict(bool)
        for kind in sorted({one.kind for one in injections}):
            sides[kind] = random.Random(f"{seed}/{source}/{kind}").random() < 0.5
        for one in injections:
            sides[one.kind] = not sides[one.kind]
            numbers[one.group] += 1
            name = f"{one.group}-{numbers[one.group]}"
            yield from records_of(one, name, right_is_a=sides[one.kind], **_SOURCES[source])


def _task(record: dict[str, Any]) -> str:
    return "pairwise" if "answer_a" in record else "step" if "steps" in record else "verify"


def _counts(injected: dict[str, list[Injection]], skipped: dict[str, Counter[str]]) -> dict[str, Any]:
    from training.form.shortcuts import told_by_form
    from training.injection import bfcl, gsm8k, halueval

    families = {"maths": gsm8k.FAMILIES, "tool": bfcl.FAMILIES, "facts": halueval.FAMILIES}
    found: dict[str, Any] = {"records": Counter(), "sources": {}}
    for source, injections in injected.items():
        kinds = Counter(one.kind for one in injections)
        groups = [("all", tuple(kinds))]
        groups += [(" + ".join(family), family) for family in families.get(source, ()) if set(family) & set(kinds)]
        found["sources"][source] = {
            "errors": dict(sorted(kinds.items())),
            "left_out": dict(sorted(skipped[source].items())),
            "told_by_form": {
                name: told_by_form([one.pair for one in injections if one.kind in family]) for name, family in groups
            },
        }
    return found


def report_lines(counts: dict[str, Any]) -> Iterator[str]:
    """A table of the baselines in a manifest's counts: share of pairs told right, with its 95% interval."""
    from training.form.shortcuts import told_lines

    yield from told_lines(
        [
            (f"{source}: {name}", told)
            for source, found in counts["sources"].items()
            for name, told in found["told_by_form"].items()
        ]
    )
