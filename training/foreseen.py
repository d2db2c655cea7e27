"""What a loop would do and take: its plan, before hours go into it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fare_cli.gguf.disk import Say
from training.config import Config
from training.estimate import Shape, estimate, model_shape
from training.loop import LoopOptions, batch_of, cut, loop_start
from training.policy import LocalPolicy
from training.questions import chosen_order, questions
from training.rollout import given_turn
from training.samples import Tokeniser
from training.stages import START, iteration
from training.start import start_checkpoint


def foreseen(
    records: Path,
    folder: Path,
    start: str,
    config: Config,
    options: LoopOptions,
    *,
    cold_start: Path | None = None,
    say: Say,
) -> list[str]:
    """The plan of a loop and what it takes, in words; the training as if every record were kept.

    Prompts and given critiques are counted in the model's own tokens, sampled ones as long as `max_tokens` allows. A
    start that is no checkpoint yet is turned into one, to know its size. Raises what `loop` does, where it is refused.
    """
    model, seed = loop_start(start, config), options.rollout.seed
    counts: Counter[str] = Counter()
    prompts: dict[int, list[int]] = {number: [] for number in cut(records, options.iterations, seed)}
    policy = LocalPolicy(model.path, options.rollout, prompts_dir=options.prompts_dir)
    try:
        with Tokeniser(model.path) as tokeniser:
            for question in questions(records, policy.prompt, counts, lambda one: chosen_order(one, seed)):
                number = batch_of(question.record, options.iterations, seed)
                prompts[number].append(len(tokeniser.critique(question, "").input_ids))
            learnt = [] if cold_start is None else _given(cold_start, policy, tokeniser)
    finally:
        policy.close()
    shape = model_shape(start_checkpoint(start, folder / START, say), config)
    lines = [f"{counts['records']} records, {counts['no_single_label']} of them without one right label"]
    if cold_start is not None:
        lines.append(f"{iteration(0)}: {len(learnt)} records with critiques; then export and")
        lines += _training(shape, config, len(learnt), sum(learnt))
    for number, lengths in prompts.items():
        tries, longest = len(lengths) * options.rollout.tries, options.rollout.max_tokens
        lines.append(
            f"{iteration(number)}: {len(lengths)} records, {tries} turns of at most {longest} tokens "
            f"on {sum(lengths):,} tokens of prompts; then export and"
        )
        lines += _training(shape, config, len(lengths), sum(lengths) + len(lengths) * longest)
    return lines


def _given(cold_start: Path, policy: LocalPolicy, tokeniser: Tokeniser) -> list[int]:
    """The lengths in tokens of the samples that the critiques of a cold start give."""
    found = []
    for question in questions(cold_start, policy.prompt, Counter(), lambda _: "ab"):
        critique = question.record.extra.get("critique")
        if isinstance(critique, str) and critique.strip():
            found.append(len(tokeniser.critique(question, given_turn(question, critique)).input_ids))
    return found


def _training(shape: Shape, config: Config, samples: int, tokens: int) -> list[str]:
    rows = tokens // config.data.max_length if config.data.packing else samples
    return [f"  at most {line}" for line in estimate(shape, config, max(1, rows), tokens).lines(1)]
