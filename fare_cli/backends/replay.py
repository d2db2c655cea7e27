"""A backend without a model: recorded replies, or a judge that is simulated. For tests, demonstrations and studies."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fare_cli.asks import Answer, Ask, BackendInfo, Direct, Free, Given, Judgment, Reply, ReplyError
from fare_cli.run.journal import read_replies

REPLAY = BackendInfo(weights="replay", model="replay", engine={"name": "replay"})


class ReplayBackend:
    """Answers every ask with `simulate(ask)`, one at a time: in the order they came, or shuffled by a seed.

    `simulate` must depend on nothing but the ask if runs are to be repeatable.
    """

    def __init__(
        self,
        simulate: Callable[[Ask], Reply],
        *,
        info: BackendInfo = REPLAY,
        window: int = 16,
        shuffle_seed: int | None = None,
    ) -> None:
        self._simulate = simulate
        self._info = info
        self._window = window
        self._random = None if shuffle_seed is None else random.Random(shuffle_seed)
        self._under_way: dict[str, Ask] = {}
        self._interrupted = False

    @classmethod
    def from_replies(cls, replies: Mapping[str, Reply], *, info: BackendInfo = REPLAY) -> Self:
        """Answers from `replies`, keyed by `Ask.content_hash(info.weights)`; anything else is an error `no_reply`."""

        def recorded(ask: Ask) -> Reply:
            missing = ReplyError("no_reply", "there is no recorded reply for this ask")
            return replies.get(ask.content_hash(info.weights)) or Reply(error=missing)

        return cls(recorded, info=info)

    @classmethod
    def from_journal(cls, path: Path) -> Self:
        """Answers from the journal at `path` as the judge that wrote it last. Raises InputError if it is none."""
        headers, replies = read_replies(path)
        return cls.from_replies(replies, info=headers[-1].info)

    @property
    def info(self) -> BackendInfo:
        return self._info

    @property
    def window(self) -> int:
        return self._window

    def submit(self, asks: Sequence[Ask]) -> None:
        for ask in asks:
            if ask.id in self._under_way:
                raise ValueError(f"ask {ask.id} is under way already")
            self._under_way[ask.id] = ask

    def collect(self) -> list[Answer]:
        if self._interrupted:
            raise KeyboardInterrupt
        if not self._under_way:
            return []
        ids = list(self._under_way)
        ask = self._under_way.pop(self._random.choice(ids) if self._random is not None else ids[0])
        reply = self._simulate(ask)
        if self._interrupted:
            raise KeyboardInterrupt
        return [Answer(ask.id, reply)]

    def cancel(self, ask_ids: Sequence[str]) -> None:
        for ask_id in ask_ids:
            self._under_way.pop(ask_id, None)

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        self._under_way.clear()


@dataclass(frozen=True, slots=True)
class SimulatedJudge:
    """A judge whose faults are known: `SimulatedJudge(right)` is what `ReplayBackend` takes as `simulate`.

    `right` gives the right label of an ask (as the script spells it), or None where there is none. The judge means it
    with probability `accuracy`, else another label. `position_bias` (nats) is added to the first label's
    log-probability. What it says depends on seed and ask alone.
    """

    right: Callable[[Ask], str | None]
    accuracy: float = 1.0
    position_bias: float = 0.0
    seed: int = 0

    def __call__(self, ask: Ask) -> Reply:
        draw = random.Random(int(hashlib.sha256(f"{self.seed}/{ask.content_hash('')}".encode()).hexdigest(), 16))
        tokens = sum(len(message.text) for message in ask.messages) // 4
        match ask.script:
            case Given(text=text):
                return Reply(log_probability=-len(text) * draw.uniform(0.3, 0.6), prompt_tokens=tokens)
            case Free():
                return Reply(text="A simulated turn.", prompt_tokens=tokens, generated_tokens=4)
            case Direct(labels=labels):
                label, read = self._judged(ask, labels, draw)
                return Reply(label=label, log_probabilities=read, prompt_tokens=tokens)
            case Judgment(labels=labels, marker=marker):
                label, read = self._judged(ask, labels, draw)
                before = f"Explanation: a simulated critique.\n{marker}"
                return Reply(
                    text=before + label,
                    label=label,
                    log_probabilities=read,
                    read_at=len(before),
                    prompt_tokens=tokens,
                    generated_tokens=12,
                )

    def _judged(self, ask: Ask, labels: Sequence[str], draw: random.Random) -> tuple[str, dict[str, float]]:
        meant = self.right(ask)
        if meant is not None and draw.random() >= self.accuracy and len(labels) > 1:
            meant = draw.choice([label for label in labels if label != meant])
        weights = {label: draw.uniform(0.0, 0.5) for label in labels}
        weights[labels[0]] += self.position_bias
        if meant is not None:
            weights[meant] += draw.uniform(1.0, 3.0)
        total = math.log(sum(math.exp(weight) for weight in weights.values()))
        read = {label: weight - total for label, weight in weights.items()}
        return max(read, key=read.__getitem__), read
