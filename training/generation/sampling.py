"""Answers of models to questions: what they are asked, how they are sampled, and where what they said is kept."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from fare_cli.asks import Ask, Backend, Free, Message, Reply, Sampling
from fare_cli.errors import UsageError
from fare_cli.identity import JudgeIdentity, JudgingOptions
from fare_cli.prompt_template import Template
from fare_cli.run.journal import Journal
from fare_cli.run.manifest import journal_path
from training.asking import answered, check_tries
from training.generation.known import Known
from training.questions import draw

_PROMPT = Path(__file__).with_name("prompt.txt")
_SAID_EVERY = 100


class Generator(Protocol):
    """Who answers: a name for people, what identifies the weights, and a backend, which is opened only where the
    journal does not have all. `training.policy.LocalPolicy` is one; any backend of fare can be."""

    @property
    def name(self) -> str: ...
    @property
    def weights(self) -> str: ...
    def backend(self) -> Backend: ...
    def close(self) -> None:
        """Lets the backend go; harmless where none was opened."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How every generator is sampled on every question: `tries` times at `temperature`, at most `max_tokens` tokens."""

    tries: int = 20
    temperature: float = 0.8
    max_tokens: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        check_tries(self)


class Try(NamedTuple):
    """What a generator replied to a question, and the seed of its sampling."""

    seed: int
    reply: Reply


def prompt_text() -> str:
    """What generators are asked, with `{question}` for the question."""
    return _PROMPT.read_text(encoding="utf-8").removesuffix("\n")


def check_generators(generators: Sequence[Generator]) -> None:
    """Raises UsageError for two generators that are the same, or could not be told apart by name."""
    for field in ("weights", "name"):
        values = [getattr(one, field) if field == "weights" else _in_file_name(one.name) for one in generators]
        twice = next((one.name for one, value in zip(generators, values, strict=True) if values.count(value) > 1), None)
        if twice is not None:
            what = "is named twice" if field == "weights" else "is the name of two models"
            raise UsageError(f"the generator {twice} {what}", "every generator once, under a name of its own")


def sampled(
    generator: Generator,
    questions: Sequence[Known],
    output: Path,
    options: GenerationOptions,
    *,
    say: Callable[[str], None],
    force: bool = False,
) -> Iterator[tuple[Known, list[Try]]]:
    """Each question with all tries of a generator, in order; all tries of a question go on one computed prompt.

    Replies lie in a journal beside `output`, one for each generator, so that others can be added later.
    """
    template = Template.read(prompt_text())
    identity = _identity(generator, options)
    path = journal_path(output.with_name(f"{output.name}.{_in_file_name(generator.name)}"))
    with Journal.open(path, identity, force=force) as journal:
        groups = (_asks(known, template, options) for known in questions)
        replies = answered(groups, generator.backend, journal, identity)
        for number, (known, found) in enumerate(zip(questions, replies, strict=True), start=1):
            seeds = [_seed(known, one, options) for one in range(options.tries)]
            yield known, [Try(seed, reply) for seed, reply in zip(seeds, found, strict=True)]
            if number % _SAID_EVERY == 0:
                say(f"{generator.name}: {number} of {len(questions)} questions")


def _asks(known: Known, template: Template, options: GenerationOptions) -> list[Ask]:
    messages = (Message("user", template.fill({"question": known.question})),)
    script = Free(options.max_tokens)
    return [
        Ask(str(number), messages, script, Sampling(options.temperature, _seed(known, number, options)))
        for number in range(options.tries)
    ]


def _seed(known: Known, number: int, options: GenerationOptions) -> int:
    return draw("sample", options.seed, known.name, number) & 0xFFFFFFFF


def _identity(generator: Generator, options: GenerationOptions) -> JudgeIdentity:
    """Whose replies a journal holds. How many tries is left out: more of them go on from those that are there."""
    return JudgeIdentity(
        task="generate",
        model=generator.name,
        weights=generator.weights,
        prompts=hashlib.sha256(prompt_text().encode()).hexdigest()[:16],
        prompts_origin="",
        options=JudgingOptions(temperature=options.temperature, seed=options.seed, max_tokens=options.max_tokens),
    )


def _in_file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)
