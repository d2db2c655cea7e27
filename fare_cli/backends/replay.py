"""A backend without a model: recorded replies, or a judge that is simulated. For tests, demonstrations and studies."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fare_cli.asks import Answer, Ask, BackendInfo, Direct, Free, Given, GivenPart, Judgment, Reply, ReplyError
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

    def nudge(self) -> None:
        """Nothing to do: `collect` never takes longer than one ask."""

    def cancel(self, ask_ids: Sequence[str]) -> None:
        for ask_id in ask_ids:
            self._under_way.pop(ask_id, None)

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        self._under_way.clear()


# Of the beta distribution of a calibrated judge's chances: wide enough to fill all bins of a reliability plot.
_CONCENTRATION = 4.0
# An opinion no better than a guess is one all the same; one that is always right has a finite certainty.
_LEAST_NATS = 0.01
_MOST_NATS = 12.0
_TINY = 1e-9


def texts_of_record(ask: Ask) -> str:
    """The texts of an ask that are not ours, in an order of their own: the same for both orders of a pair."""
    return "\0".join(sorted(piece.text for message in ask.messages for piece in message.pieces if not piece.ours))


@dataclass(frozen=True, slots=True)
class SimulatedJudge:
    """A judge whose faults are known: `SimulatedJudge(right)` is what `ReplayBackend` takes as `simulate`.

    `right` gives the right label of an ask (as the script spells it), or None where there is none: then the judge says
    any label, drawn for each ask anew, less than 0.5 nats before the others.

    Its **opinion** is drawn once for what the ask is `about`, which is the record by default: the texts of the ask that
    are not ours, in whatever order. Both orders of a pair and all votes share it. The opinion is the right label with
    probability `accuracy`, else any other one, and it comes with a certainty:

    * `calibration=None`: between 1 and 3 nats, uniformly, whether it is right or wrong, so that nothing can be told
      from it.
    * `calibration=1`: it says how often it is right. Each opinion has a chance of its own to be right, beta-distributed
      (concentration 4) between that of a guess and 1, `accuracy` on average, and gives just this probability to its
      label, the same to all others. 2 makes the log-odds twice as large, so it is too sure; 0.5 makes it too unsure.
      Nothing is said with more than 12 nats. Raises ValueError for an accuracy below that of a guess.

    What then happens to **each ask**, in nats of log-odds, and costs accuracy and calibration: `position_bias` is added
    to the label that the script names first, and `noise` is the standard deviation of what is added between any two
    labels, drawn for each ask anew, so that orders, votes and other sampling seeds differ by it. Another `seed` is
    another judge with the same settings; what it says depends on seed and ask alone.
    """

    right: Callable[[Ask], str | None]
    accuracy: float = 1.0
    position_bias: float = 0.0
    noise: float = 0.0
    calibration: float | None = None
    seed: int = 0
    about: Callable[[Ask], str] = texts_of_record

    def __call__(self, ask: Ask) -> Reply:
        tokens = sum(len(message.text) for message in ask.messages) // 4
        match ask.script:
            case Given(parts=parts):
                draw = self._draw(ask.content_hash(""))
                given = tuple(GivenPart(-len(part) * draw.uniform(0.3, 0.6), len(part) // 4 + 1) for part in parts)
                return Reply(given=given, prompt_tokens=tokens)
            case Free():
                return Reply(text="A simulated turn.", prompt_tokens=tokens, generated_tokens=4)
            case Direct(labels=labels):
                label, read = self._judged(ask, labels)
                return Reply(label=label, log_probabilities=read, prompt_tokens=tokens)
            case Judgment(labels=labels, marker=marker):
                label, read = self._judged(ask, labels)
                before = f"Explanation: a simulated critique.\n{marker}"
                return Reply(
                    text=before + label,
                    label=label,
                    log_probabilities=read,
                    read_at=len(before),
                    prompt_tokens=tokens,
                    generated_tokens=12,
                )

    def _draw(self, name: str) -> random.Random:
        """Random numbers that depend on the seed and the name alone."""
        return random.Random(
            int(hashlib.sha256(f"{self.seed}/{name}".encode("utf-8", "surrogatepass")).hexdigest(), 16)
        )

    def _judged(self, ask: Ask, labels: Sequence[str]) -> tuple[str, dict[str, float]]:
        right = self.right(ask)
        each = self._draw(ask.content_hash(""))
        if right is None:
            weights = {label: each.uniform(0.0, 0.5) for label in labels}
        else:
            weights = self._opinion(right, labels, self._draw(f"about {self.about(ask)}"))
        weights[labels[0]] += self.position_bias
        # The difference of two labels has twice the variance of one.
        weights = {label: weight + each.gauss(0.0, self.noise / math.sqrt(2)) for label, weight in weights.items()}
        largest = max(weights.values())
        total = largest + math.log(sum(math.exp(weight - largest) for weight in weights.values()))
        read = {label: weight - total for label, weight in weights.items()}
        return max(read, key=read.__getitem__), read

    def _opinion(self, right: str, labels: Sequence[str], draw: random.Random) -> dict[str, float]:
        """What it thinks of the record, as the weight of each label in nats."""
        others = [label for label in labels if label != right]
        chance = self.accuracy if self.calibration is None else self._chance_to_be_right(len(labels), draw)
        meant = right if draw.random() < chance or not others else draw.choice(others)
        if self.calibration is None:
            certainty = draw.uniform(1.0, 3.0)
        else:
            odds = math.log(max(chance, _TINY) / max(1.0 - chance, _TINY)) + math.log(max(len(others), 1))
            certainty = min(self.calibration * max(odds, _LEAST_NATS), _MOST_NATS)
        weights = dict.fromkeys(labels, 0.0)
        weights[meant] += certainty
        return weights

    def _chance_to_be_right(self, labels: int, draw: random.Random) -> float:
        guess = 1.0 / labels
        above = (self.accuracy - guess) / (1.0 - guess) if labels > 1 else 1.0
        if above < 0:
            raise ValueError(f"right with {self.accuracy} among {labels} labels is worse than guessing: not calibrated")
        if above in (0.0, 1.0):
            return self.accuracy
        return guess + (1.0 - guess) * draw.betavariate(_CONCENTRATION * above, _CONCENTRATION * (1.0 - above))
