"""Rejection sampling: the policy judges every record K times, and of what it got right one turn is kept to learn.

The recipe is FARE's (arXiv 2510.17793): K = 4 at temperature 0.9, one random right turn kept, records without one
dropped, a fixed share turned into direct judgments, samples in the order from easy to hard. Turns are sampled freely to
their end, label included: nothing is forced, so that each kept text is a complete turn of the policy's own.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, Protocol

from fare_cli.asks import Ask, Backend, Free, Reply, Sampling
from fare_cli.errors import InvalidRecordsError, UsageError
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.prompting import TASK_NAMES, TaskPrompt
from fare_cli.run.files import OutputFile
from fare_cli.run.journal import Journal
from fare_cli.run.manifest import journal_path
from fare_cli.tasks.votes import MARKER
from training.asking import answered, check_tries
from training.manifest import TrainingManifest, plan, read_manifest
from training.questions import Question, chosen_order, draw, questions
from training.samples import Sample, Tokeniser

Say = Callable[[str], None]

PACKAGES = ("llama-cpp-python",)
EXPLANATION = "Explanation: "


class Policy(Protocol):
    """Who is sampled from: a `fare_cli.judge.Judge` through `LocalPolicy`, or any backend with prompts."""

    @property
    def name(self) -> str: ...
    @property
    def weights(self) -> str: ...
    def prompt(self, task: str) -> TaskPrompt: ...
    def backend(self) -> Backend: ...


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """How a policy is sampled and what is kept.

    `tries` is the paper's K, `direct_share` the share of kept records that become direct judgments, `max_tokens` the
    longest turn (a longer one is cut, and wrong). `curriculum` off leaves the samples in random order.
    """

    tries: int = 4
    temperature: float = 0.9
    max_tokens: int = 1024
    direct_share: float = 0.5
    curriculum: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_tries(self)
        if not 0 <= self.direct_share <= 1:
            raise UsageError(f"--direct-share {self.direct_share}: a share lies between 0 and 1")


class Kept(NamedTuple):
    """A record that the policy got right at least once: one right turn of it, and the share of right tries (None where
    the turn was given and nothing was tried)."""

    question: Question
    target: str
    pass_rate: float | None


def verdict_of(text: str, marker: str, labels: Sequence[str]) -> str | None:
    """The label that a whole turn ends with; None unless its last line is the marker and a label, exactly.

    A turn that goes on behind its verdict, or writes it in another way, is not one to learn from.
    """
    last = text.rstrip().rpartition("\n")[2]
    return next((label for label in labels if last == marker + label), None)


def grade(question: Question, reply: Reply) -> str:
    """What became of one try: `right`, `wrong`, `unparsed`, `cut` (no end of turn before the limit) or `failed`."""
    if reply.error is not None:
        return "failed"
    if reply.truncated:
        return "cut"
    # U+FFFD stands for bytes that are no text: what was sampled cannot be given back in the same ids.
    said = verdict_of(reply.text, question.marker, question.labels) if "\ufffd" not in reply.text else None
    if said is None:
        return "unparsed"
    return "right" if said == question.right else "wrong"


def select(question: Question, replies: Sequence[Reply], seed: int, counts: Counter[str]) -> Kept | None:
    """One random right turn of a record and its pass rate; None where no try was right. `counts` gets every grade."""
    grades = [grade(question, reply) for reply in replies]
    counts.update(f"tries_{one}" for one in grades)
    right = [reply.text.rstrip() for reply, one in zip(replies, grades, strict=True) if one == "right"]
    if not right:
        counts["none_right"] += 1
        return None
    chosen = right[draw("keep", seed, question.record.id) % len(right)]
    return Kept(question, chosen, len(right) / len(replies))


def make_samples(
    kept: Sequence[Kept], tokeniser: Tokeniser, options: RolloutOptions, counts: Counter[str]
) -> list[Sample]:
    """The samples of what was kept: exactly the asked share of them direct judgments, easy to hard.

    Which records become direct, and the order among equals, depend on the seed and the ids. A turn that the vocabulary
    cannot express is left out and counted.
    """
    counts["not_expressible"] = sum(not tokeniser.expresses(one.target) for one in kept)
    kept = [one for one in kept if tokeniser.expresses(one.target)]
    by_chance = sorted(kept, key=lambda one: draw("direct", options.seed, one.question.record.id))
    direct = {one.question.record.id for one in by_chance[: round(options.direct_share * len(kept))]}
    ordered = list(kept)
    random.Random(draw("order", options.seed)).shuffle(ordered)
    if options.curriculum:
        # A stable sort: what was given without tries comes first, as the policy's own easiest.
        ordered.sort(key=lambda one: -(one.pass_rate or 2.0))
    return [
        tokeniser.direct(one.question, one.pass_rate)
        if one.question.record.id in direct
        else tokeniser.critique(one.question, one.target, one.pass_rate)
        for one in ordered
    ]


def rollout(
    records: Path,
    output: Path,
    policy: Policy,
    gguf: Path,
    options: RolloutOptions,
    *,
    say: Say,
    force: bool = False,
) -> TrainingManifest:
    """Samples every record of a file from the policy, and writes the samples of what it got right to `output`.

    `gguf` gives vocabulary and chat template. Replies are kept in a journal beside the output: an interrupted rollout
    goes on where it was. Raises InvalidRecordsError where nothing was right.
    """
    begun = time.monotonic()
    prompts = cache(policy.prompt)
    work = plan("rollout", [records], {**_described(options), **_asked_of(policy, prompts)}, options.seed)
    if not work.begin(output, force=force):
        return _made_before(output, say)
    counts: Counter[str] = Counter()
    identity = _identity(policy, prompts, options)
    with Journal.open(journal_path(output), identity, force=force) as journal, Tokeniser(gguf) as tokeniser:
        asked: list[Question] = []

        def groups() -> Iterator[list[Ask]]:
            for question in questions(records, prompts, counts, lambda one: chosen_order(one, options.seed)):
                asked.append(question)
                yield _tries(question, options)

        kept = []
        for number, replies in enumerate(answered(groups(), policy.backend, journal, identity)):
            one = select(asked[number], replies, options.seed, counts)
            kept += [one] if one is not None else []
            if (number + 1) % 100 == 0:
                say(f"{number + 1} records sampled, {len(kept)} with a right turn")
        samples = make_samples(kept, tokeniser, options, counts)
        _publish(samples, output, counts)
    return work.write_manifest([output], _counted(counts, samples), seconds=time.monotonic() - begun, packages=PACKAGES)


def from_critiques(
    records: Path, output: Path, policy: Policy, gguf: Path, options: RolloutOptions, *, force: bool = False, say: Say
) -> TrainingManifest:
    """The samples of a cold start: the field `critique` of each record, which is true by construction, as the turn.

    Pairs keep their order, since a critique calls the answers by their letters. A record without a critique is left
    out. Nothing is sampled.
    """
    begun = time.monotonic()
    prompts = cache(policy.prompt)
    work = plan(
        "rollout",
        [records],
        {"from_critiques": True, **_described(options), **_asked_of(policy, prompts)},
        options.seed,
    )
    if not work.begin(output, force=force):
        return _made_before(output, say)
    counts: Counter[str] = Counter()
    kept = []
    for question in questions(records, prompts, counts, lambda _: "ab"):
        critique = question.record.extra.get("critique")
        if not isinstance(critique, str) or not critique.strip():
            counts["no_critique"] += 1
        else:
            kept.append(Kept(question, given_turn(question, critique), None))
    with Tokeniser(gguf) as tokeniser:
        samples = make_samples(kept, tokeniser, options, counts)
    _publish(samples, output, counts)
    return work.write_manifest([output], _counted(counts, samples), seconds=time.monotonic() - begun, packages=PACKAGES)


def given_turn(question: Question, critique: str) -> str:
    """A critique as a whole turn: `Explanation: ...`, and the right verdict on a line of its own."""
    text = critique.strip()
    if any(line.startswith(question.marker) for line in text.splitlines()):
        raise InvalidRecordsError(
            f"record {question.record.id!r}: its critique holds a verdict already", f"leave {MARKER} lines out of it"
        )
    opening = "" if text.startswith(EXPLANATION.rstrip()) else EXPLANATION
    return f"{opening}{text}\n{question.marker}{question.right}"


def _tries(question: Question, options: RolloutOptions) -> list[Ask]:
    script = Free(options.max_tokens)
    return [
        Ask(
            str(number),
            question.critique,
            script,
            Sampling(options.temperature, draw("try", options.seed, question.record.id, number) & 0xFFFFFFFF),
        )
        for number in range(options.tries)
    ]


def _asked_of(policy: Policy, prompts: Callable[[str], TaskPrompt]) -> dict[str, object]:
    """What of the policy decides the samples, besides the options."""
    return {"model": policy.weights, "prompts": {task: prompts(task).fingerprint for task in TASK_NAMES}}


def _described(options: RolloutOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in options.__slots__ if name != "seed"}


def _identity(policy: Policy, prompts: Callable[[str], TaskPrompt], options: RolloutOptions) -> JudgeIdentity:
    """Whose replies the journal holds."""
    return JudgeIdentity(
        task="rollout",
        model=policy.name,
        weights=policy.weights,
        prompts="+".join(prompts(task).fingerprint for task in TASK_NAMES),
        prompts_origin="",
        options=JudgingOptions(
            votes=options.tries, temperature=options.temperature, seed=options.seed, max_tokens=options.max_tokens
        ),
    )


def _publish(samples: Sequence[Sample], output: Path, counts: Counter[str]) -> None:
    if not samples:
        raise InvalidRecordsError(
            "not one sample came of it: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())),
            "a policy that cannot answer in form needs a cold start (--from-critiques)",
        )
    with OutputFile(output) as file:
        for sample in samples:
            file.write(sample.to_line())
        file.publish()


def _counted(counts: Counter[str], samples: Sequence[Sample]) -> dict[str, object]:
    rates = Counter("none" if one.pass_rate is None else f"{one.pass_rate:g}" for one in samples)
    return {
        **dict(sorted(counts.items())),
        "samples": len(samples),
        "by_kind": dict(Counter(one.kind for one in samples)),
        "by_task": dict(Counter(one.task for one in samples)),
        "by_pass_rate": dict(sorted(rates.items(), reverse=True)),
        "tokens": sum(len(one.input_ids) for one in samples),
        "trained_tokens": sum(sum(one.completion_mask) for one in samples),
    }


def _made_before(output: Path, say: Say) -> TrainingManifest:
    say(f"{output} is made already")
    manifest = read_manifest(output)
    assert manifest is not None
    return manifest
