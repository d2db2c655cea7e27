"""The labels that a checkpoint and the GGUF files made of it give the same records: are they the same judge?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fare_cli.asks import Ask, Direct, Reply
from fare_cli.engine.native import Row
from fare_cli.errors import ModelError
from training.questions import Question
from training.samples import Tokeniser

Reading = Mapping[str, float]
"""Natural log-probabilities of the labels, normalised over them."""

CLEAR_NATS = 0.3
"""By so much a label's log-probability moves with what else is in a batch (28 hundredths were measured): where two
labels are closer, either may come out."""


UNQUANTISED = ("F32", "F16", "BF16")


class LabelAgreement(NamedTuple):
    """How the labels of a file agree with its checkpoint's on `records`: `same` of all, `clear` of them where the
    checkpoint prefers its label by more than 0.3 nats, `same_clear` of these; `nats` is the largest difference of a
    log-probability of a chosen label."""

    records: int
    same: int
    clear: int
    same_clear: int
    nats: float

    def __str__(self) -> str:
        return (
            f"the same label for {self.same} of {self.records} records ({self.same_clear} of {self.clear} where the "
            f"checkpoint is clear), at most {self.nats:.3f} nats apart"
        )


def agreement(expected: Sequence[Reading], found: Sequence[Reading]) -> LabelAgreement:
    """How two readings of the same records agree, the first being the measure."""
    same = clear = same_clear = 0
    nats = 0.0
    for one, other in zip(expected, found, strict=True):
        label = _best(one)
        is_clear = _margin(one) > CLEAR_NATS
        is_same = _best(other) == label
        same, clear, same_clear = same + is_same, clear + is_clear, same_clear + (is_same and is_clear)
        nats = max(nats, abs(one[label] - other[label]))
    return LabelAgreement(len(expected), same, clear, same_clear, nats)


def see_alike(name: str, labels: LabelAgreement, tolerance: float) -> None:
    """Raises ModelError where a file is not the judge that its checkpoint is.

    An unquantised file (F32, F16, BF16) gives every label that the checkpoint is clear about, and no log-probability of
    one that is more than 0.3 nats off; any file gives at most the share `tolerance` of labels otherwise.
    """
    if name in UNQUANTISED and (labels.same_clear < labels.clear or labels.nats > CLEAR_NATS):
        raise ModelError(f"the unquantised file does not judge like its checkpoint: {labels}")
    if labels.same < labels.records * (1 - tolerance):
        raise ModelError(
            f"{name} does not judge like its checkpoint: {labels}", "take a larger --type, or raise --tolerance"
        )


def _best(reading: Reading) -> str:
    return max(reading, key=reading.__getitem__)


def _margin(reading: Reading) -> float:
    first, *others = sorted(reading.values(), reverse=True)
    return first - others[0] if others else float("inf")


def engine_readings(gguf: Path, questions: Sequence[Question], adapter: Path | None = None) -> list[Reading]:
    """What `fare judge --mode direct` reads for each question on a GGUF file. Raises ModelError where one has no
    answer."""
    from fare_cli.backends.local import LocalBackend
    from fare_cli.engine.options import EngineOptions

    options = EngineOptions(work="direct", reply_tokens=0, lora=adapter)
    backend = LocalBackend(gguf, name=gguf.name, weights="", options=options)
    try:
        asks = [Ask(str(n), one.direct, Direct(one.marker, one.labels)) for n, one in enumerate(questions)]
        for ask in asks:
            backend.submit([ask])
        replies: dict[str, Reply] = {}
        while len(replies) < len(asks):
            replies.update(backend.collect())
    finally:
        backend.close()
    found = []
    for ask in asks:
        reply = replies[ask.id]
        if reply.error is not None or reply.log_probabilities is None:
            raise ModelError(f"{gguf}: record {ask.id} cannot be judged: {reply.error}")
        found.append(reply.log_probabilities)
    return found


def checkpoint_readings(
    checkpoint: Path, gguf: Path, questions: Sequence[Question], base: Path | None = None
) -> list[Reading]:
    """The same of a checkpoint, by transformers in F32, through the same trie; `gguf` gives vocabulary and template.

    `base` is the checkpoint below, where `checkpoint` is a LoRA adapter.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base or checkpoint, dtype=torch.float32)
    if base is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, checkpoint)
    model.eval()
    found: list[Reading] = []
    with Tokeniser(gguf) as tokeniser, torch.inference_mode():
        for question in questions:
            ids, choice = tokeniser.judged(question)
            rows: dict[tuple[int, ...], Row] = {}
            for chain in choice.chains:
                logits = model(torch.tensor([[*ids, *chain.tokens]])).logits[0].float().numpy()
                rows |= {node: logits[len(ids) + row] for row, node in zip(chain.rows, chain.nodes, strict=True)}
            reading = choice.log_probabilities(rows)
            if reading is None:
                raise ModelError(f"{checkpoint}: the logits for record {question.record.id} are not numbers")
            found.append(reading)
    return found
