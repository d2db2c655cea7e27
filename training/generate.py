"""`generate`: answers of several models to questions with a known answer, graded, as records with gold."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fare_cli.errors import InvalidRecordsError, UsageError
from training.servers import Concurrency, Timeout, servers

if TYPE_CHECKING:
    from fare_cli.backends.http.options import ServerOptions
    from training.curation.sources import Source
    from training.generation.grading import Graded
    from training.generation.known import Known
    from training.generation.pairing import Paired, PairingOptions
    from training.generation.sampling import GenerationOptions, Generator
    from training.manifest import Plan

_PACKAGES = ("math-verify", "latex2sympy2_extended", "sympy", "llama-cpp-python", "scikit-learn", "scipy", "numpy")


@dataclass(frozen=True, slots=True)
class Generation:
    """What is asked, and what is made of the answers. `credit` has `source` and `licence` for rows that do not state
    their own; `limit` is how many questions are asked, None for all."""

    sources: tuple[Source, ...]
    sampling: GenerationOptions
    pairing: PairingOptions
    credit: Mapping[str, str]
    limit: int | None = None

    def plan(self, generators: Sequence[Generator]) -> Plan:
        from training.generation.sampling import prompt_text
        from training.manifest import plan

        sampling = asdict(self.sampling)
        seed = sampling.pop("seed")
        options = {
            "sources": [[source.importer, len(source.files)] for source in self.sources],
            "generators": {one.name: one.weights for one in generators},
            "prompt": prompt_text(),
            "credit": dict(self.credit),
            "limit": self.limit,
            **sampling,
            **asdict(self.pairing),
        }
        return plan("generate", [path for source in self.sources for path in source.files], options, seed)


def command(
    questions: Annotated[
        list[str],
        typer.Argument(
            metavar="QUESTIONS",
            help="FILE of rows with question and reference (or answer), or NAME=FILE of a set with references.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write the records there.")],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME|FILE.gguf", help="A model that answers on this machine; repeatable."),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option("--url", metavar="URL", help="A server that answers by chat (docs/http.md); repeatable."),
    ] = None,
    served_model: Annotated[
        list[str] | None,
        typer.Option(
            "--served-model",
            metavar="NAME",
            help="The server's name for the model, if it has several: one for each --url, or several of one server.",
        ),
    ] = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    tries: Annotated[
        int, typer.Option("--tries", help="Answers of each model to each question (the paper: up to 20).")
    ] = 20,
    temperature: Annotated[float, typer.Option("--temperature", help="Of the sampling.")] = 0.8,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", help="An answer that is longer is cut, and left out.")
    ] = 1024,
    per_question: Annotated[
        int, typer.Option("--per-question", metavar="N", help="At most N pairs of a question.")
    ] = 1,
    reference_share: Annotated[
        float, typer.Option("--reference-share", help="Share of the verify records that show the reference.")
    ] = 0.58,
    same_generator: Annotated[
        bool, typer.Option("--same-generator", help="Pair only answers of one model: who wrote them tells nothing.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, help="Ask the first N questions only.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Where rows come from that do not say.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", metavar="ID", help="Licence of rows that state none.")
    ] = None,
    slots: Annotated[int | None, typer.Option("--slots", help="Answers that are written at the same time.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="CPU threads.")] = None,
    ctx: Annotated[int | None, typer.Option("--ctx", help="Tokens that one ask may take, prompt and answer.")] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed samples and chooses otherwise.")] = 0,
    report: Annotated[
        bool, typer.Option("--report", help="Print how far right and wrong are told apart by form alone.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there; journals grow.")] = False,
) -> int:
    """Let models answer questions whose answer is known, and make records with gold of right and wrong answers.

    math-verify compares the final answer of each with the known one. Of every pair of a right and a wrong answer comes
    a pairwise record and two verify records. What cannot be graded is counted and left out.
    """
    from training.curation.sources import NEVER, check_never, parse_source
    from training.generation.pairing import PairingOptions
    from training.generation.sampling import GenerationOptions

    sources = tuple(map(parse_source, questions))
    check_never(sources, NEVER)
    credit = {name: value for name, value in (("source", source), ("licence", licence)) if value is not None}
    sampling = GenerationOptions(tries, temperature, max_tokens, seed)
    pairing = PairingOptions(per_question, reference_share, same_generator)
    generation = Generation(sources, sampling, pairing, credit, limit)
    asked = servers(url or [], served_model or [], concurrency, timeout)
    generators = _generators(model or [], asked, sampling, slots=slots, threads=threads, ctx=ctx)
    counts = generate(generation, generators, output, force=force)
    if report:
        typer.echo("\n".join(report_lines(counts)))
    return 0


def _generators(
    models: Sequence[str],
    servers: Sequence[ServerOptions],
    sampling: GenerationOptions,
    *,
    slots: int | None,
    threads: int | None,
    ctx: int | None,
) -> list[Generator]:
    """Those on this machine, then those behind servers. Raises UsageError for none, and for options of no model."""
    from fare_cli.judge import Judge
    from training.policy import LocalPolicy, judging_options

    if not models and not servers:
        raise UsageError("nobody is named to answer", "add --model, or --url with the address of a server")
    if not models and any(one is not None for one in (slots, threads, ctx)):
        raise UsageError("--slots, --threads and --ctx are for models on this machine", "and --model names none")
    here = [LocalPolicy(model, sampling, slots=slots, threads=threads, ctx=ctx) for model in models]
    return [*here, *(Judge(None, options=judging_options(sampling), server=server) for server in servers)]


def _say(line: str) -> None:
    typer.echo(line, err=True)


def generate(
    generation: Generation,
    generators: Sequence[Generator],
    output: Path,
    *,
    force: bool = False,
    say: Callable[[str], None] = _say,
) -> dict[str, Any]:
    """Writes the records to `output` and gives the counts of its manifest; a finished output stays.

    Replies are kept in a journal for each generator beside the output: what was interrupted goes on where it was.
    Raises InvalidRecordsError where no question has both a right and a wrong answer.
    """
    from training.form.shortcuts import told_by_form
    from training.generation.equivalence import Equivalence
    from training.generation.known import checkable
    from training.generation.pairing import paired
    from training.generation.sampling import check_generators
    from training.manifest import read_manifest

    started = time.monotonic()
    check_generators(generators)
    work = generation.plan(generators)
    if not work.begin(output, force=force):
        say(f"{output} is finished already")
        manifest = read_manifest(output)
        assert manifest is not None
        return manifest.counts
    read: Counter[str] = Counter()
    with Equivalence() as equivalence:
        questions = checkable(generation.sources, generation.credit, equivalence, read)[: generation.limit]
        say(f"{len(questions)} questions to {len(generators)} generators, {generation.sampling.tries} tries each")
        graded = _graded(generation, generators, questions, output, equivalence, force=force, say=say)
    outcomes: Counter[str] = Counter()
    pairs = paired(questions, graded, generation.pairing, generation.sampling.seed, outcomes)
    if not pairs:
        raise InvalidRecordsError(
            f"no question has a right and a wrong answer to pair: {_listed(outcomes)}",
            "other questions, more --tries, another model, or a higher --max-tokens where answers were cut",
        )
    counts = {
        "questions": {**read, "asked": len(questions), **outcomes},
        "generators": {name: dict(sorted(fates.items())) for name, fates in graded.counts.items()},
        "pairs": len(pairs),
        "pairs_by_generator": dict(Counter(f"{one.right.generator} > {one.wrong.generator}" for one in pairs)),
        "records": _publish(pairs, generation, output),
        "told_by_form": {"all": told_by_form([one.pair for one in pairs])},
    }
    work.write_manifest([output], counts, seconds=time.monotonic() - started, packages=_PACKAGES)
    say(f"{output}: {3 * len(pairs)} records of {len(pairs)} pairs of {outcomes['paired']} questions")
    return counts


def _graded(
    generation: Generation,
    generators: Sequence[Generator],
    questions: Sequence[Known],
    output: Path,
    equivalence: Any,
    *,
    force: bool,
    say: Callable[[str], None],
) -> Graded:
    """What all generators answered, one after the other: only one of them is in memory."""
    from training.generation.grading import Graded
    from training.generation.sampling import sampled

    graded = Graded(equivalence)
    for one in generators:
        try:
            for known, tries in sampled(one, questions, output, generation.sampling, say=say, force=force):
                graded.add(known, one.name, tries)
        finally:
            one.close()
        say(f"{one.name}: {_listed(graded.counts.get(one.name, {}))}")
    return graded


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none was asked"


def _publish(pairs: Sequence[Paired], generation: Generation, output: Path) -> dict[str, int]:
    """Writes the records; how many there are of each task."""
    from fare_cli.run.files import OutputFile
    from training.generation.pairing import records_of

    tasks: Counter[str] = Counter()
    with OutputFile(output) as out:
        for record in records_of(pairs, generation.pairing, generation.sampling.seed):
            out.write(json.dumps(record, ensure_ascii=False))
            is_pair = "answer_a" in record
            tasks["pairwise" if is_pair else "verify-reference" if "reference" in record else "verify"] += 1
        out.publish()
    return dict(tasks)


def report_lines(counts: Mapping[str, Any]) -> Iterator[str]:
    """A table of the baselines in a manifest's counts: share of pairs told right, with its 95% interval."""
    from training.form.shortcuts import told_lines

    yield from told_lines(list(counts["told_by_form"].items()))
