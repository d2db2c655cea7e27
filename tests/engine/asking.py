"""Asks for the engine's tests, a way to run them, and a plain reference that computes one sequence at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fare_cli.asks import Ask, Direct, Free, Given, Judgment, Message, Piece, Reply, Sampling, Script
from fare_cli.engine.engine import Engine
from fare_cli.engine.native import Context, Model
from fare_cli.engine.options import ContextParams, EngineOptions
from fare_cli.engine.sequences import EXTRA_SEQUENCES
from fare_cli.engine.sizing import Layout, TunedLayout
from fare_cli.engine.slot import Slot
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.turns import Turns
from fare_cli.gguf.memory import MemoryPlan

PAIR = (" [A]", " [B]")
STEPS = tuple(f" {number}" for number in range(-1, 24))
DIRECT = Direct("Verdict:", PAIR)

SYSTEM = "You are a careful judge of two answers. Look for mistakes and say which answer is better. " * 3


def ask(ask_id: str, question: str, answers: str, script: Script, sampling: Sampling = Sampling()) -> Ask:  # noqa: B008
    user = (Piece("[User Question]\n", True), Piece(question, False), Piece("\n\n[Answers]\n", True))
    return Ask(
        ask_id,
        (Message("system", (Piece(SYSTEM, True),)), Message("user", (*user, Piece(answers, False)))),
        script,
        sampling,
    )


def pairs(count: int, script: Script) -> list[list[Ask]]:
    """Groups of two asks that share a question, of different lengths."""
    groups = []
    for number in range(count):
        question = f"Question {number}: what is {number} plus {number}? " * (1 + number % 4)
        one, two = f"It is {2 * number}. " * (2 + number % 5), f"I think {2 * number + 1}! " * (1 + number % 3)
        groups.append(
            [ask(f"{number}/ab", question, one + two, script), ask(f"{number}/ba", question, two + one, script)]
        )
    return groups


def layout(
    *,
    slots: int,
    unified: bool = False,
    ctx: int = 1024,
    even: bool = False,
    flash: bool = True,
    cells: int | None = None,
) -> Layout:
    sequences = slots + EXTRA_SEQUENCES
    params = ContextParams(
        cells=cells or ctx * sequences,
        sequences=sequences,
        batch=512,
        outputs=max(64, sequences),
        unified=unified,
        flash=flash,
        threads=2,
    )
    return Layout(params, slots, ctx, even, gpu_layers=0, plan=MemoryPlan(0, 0, 0, 0))


@contextlib.contextmanager
def engine(path: Path, shape: Layout) -> Iterator[Engine]:
    opened = Engine(path, EngineOptions(gpu_layers=0), layout=TunedLayout(shape))
    try:
        yield opened
    finally:
        opened.close()


def run(opened: Engine, groups: Sequence[Sequence[Ask]]) -> dict[str, Reply]:
    for group in groups:
        opened.submit(group)
    replies = {}
    while opened.busy:
        for answer in opened.step():
            assert answer.ask_id not in replies
            replies[answer.ask_id] = answer.reply
    return replies


def run_once(path: Path, shape: Layout, groups: Sequence[Sequence[Ask]]) -> dict[str, Reply]:
    with engine(path, shape) as opened:
        return run(opened, groups)


_CRITIQUE = Judgment("Verdict:", PAIR, 1000)


class Turn:
    """A turn that is given its words instead of a model's choices."""

    def __init__(self, model: Model, script: Judgment | Direct = _CRITIQUE) -> None:
        self.model = model
        self.template = ChatTemplate(model)
        self.turns = Turns(model, self.template)
        job = self.turns.job(ask("q", "Which?", "One. Two.", script))
        self.slot = Slot(job, 0, len(job.tokens), [])
        self.end = next(token for token in range(model.vocabulary_size) if model.is_end(token))

    def say(self, tokens: list[int]) -> Reply | None:
        reply = None
        for token in tokens:
            reply = self.turns.take(self.slot, token)
        return reply

    def text(self, text: str) -> list[int]:
        return self.model.tokenize(text, special=True)

    def shown(self, tokens: Sequence[int]) -> str:
        return b"".join(self.model.piece(t, special=True) for t in tokens).decode()

    @property
    def leads(self) -> list[tuple[str, bool]]:
        """What is to be fed before each reading that is due, as text, and whether the turn is over."""
        return [(self.shown(lead), final) for _, lead, final in self.turns.to_read]


class Reference:
    """One sequence in a fresh cache, decoded whole: what a reply must agree with."""

    def __init__(self, path: Path) -> None:
        self._model = Model(path, gpu_layers=0)
        self._template = ChatTemplate(self._model)
        self._turns = Turns(self._model, self._template)
        params = ContextParams(cells=2048, sequences=1, batch=2048, outputs=256, unified=True, flash=True, threads=2)
        self._context = Context(self._model, params)

    def close(self) -> None:
        self._context.close()
        self._model.close()

    def _rows(self, tokens: Sequence[int], outputs: int) -> list[np.ndarray]:
        count = len(tokens)
        self._context.clear()
        self._context.decode(tokens, range(count), [0] * count, [i >= count - outputs for i in range(count)])
        rows = []
        for i in range(count - outputs, count):
            row = self._context.logits(i)
            assert row is not None
            rows.append(row.astype(np.float64))
        return rows

    def _prompt(self, question: Ask) -> list[int]:
        script = question.script
        reasoning = script.reasoning if isinstance(script, Direct | Judgment) else None
        return self._template.prompt(question.messages, reasoning.effort if reasoning else None).tokens

    def direct(self, question: Ask, behind: Sequence[int] = ()) -> dict[str, float]:
        """Label log-probabilities, by the whole label paths and nothing of the trie; `behind` follows the prompt."""
        assert isinstance(question.script, Direct | Judgment)
        prompt = [*self._prompt(question), *behind]
        marker, choice = self._turns.choice(question.script.marker, question.script.labels)
        scores = {}
        for label, path in choice.paths.items():
            score = 0.0
            for depth in range(len(path)):
                node = path[:depth]
                if node not in choice.nodes:
                    continue
                (row,) = self._rows([*prompt, *marker, *node], 1)
                score += row[path[depth]] - np.logaddexp.reduce(row)
            if path in choice.nodes:
                (row,) = self._rows([*prompt, *marker, *path], 1)
                row = row - np.logaddexp.reduce(row)
                longer = {p[len(path)] for p in choice.paths.values() if p[: len(path)] == path and p != path}
                score += np.log(1 - sum(np.exp(row[token]) for token in longer))
            scores[label] = score
        total = np.logaddexp.reduce(list(scores.values()))
        return {label: float(score - total) for label, score in scores.items()}

    def given(self, question: Ask) -> list[float]:
        assert isinstance(question.script, Given)
        prompt = self._template.prompt(question.messages).tokens
        parts = [self._template.plain(part) for part in question.script.parts]
        text = [token for part in parts for token in part]
        rows = iter(self._rows([*prompt, *text], len(text) + 1))
        return [
            float(sum(row[t] - np.logaddexp.reduce(row) for t, row in zip(part, rows, strict=False))) for part in parts
        ]

    def greedy(self, question: Ask, count: int) -> str:
        """What the model writes greedily, each token from a fresh cache; special tokens left out."""
        return self.text(self.greedy_tokens(question, count))

    def greedy_tokens(self, question: Ask, count: int, behind: Sequence[int] = ()) -> list[int]:
        tokens: list[int] = []
        for _ in range(count):
            (row,) = self._rows([*self._prompt(question), *behind, *tokens], 1)
            best = int(np.argmax(row))
            if self._model.is_end(best):
                break
            tokens.append(best)
        return tokens

    def text(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self._model.piece, tokens)).decode(errors="replace")

    def tokens(self, text: str) -> list[int]:
        return self._model.tokenize(text, special=True)


__all__ = [
    "DIRECT",
    "PAIR",
    "STEPS",
    "Free",
    "Given",
    "Judgment",
    "Reference",
    "Turn",
    "ask",
    "engine",
    "layout",
    "pairs",
    "run",
]
