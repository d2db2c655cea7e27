"""The order in which two answers are shown."""

from __future__ import annotations

from fare_cli.record_fields import PairLabel
from fare_cli.records import PairwiseRecord
from fare_cli.studies.audit.perturbation import Perturbation, Spot

_OTHER: dict[str, PairLabel] = {"A": "B", "B": "A", "tie": "tie"}


def swapped(record: PairwiseRecord, _spot: Spot) -> PairwiseRecord:
    """The pair with its answers exchanged, and with them gold, annotations and systems."""
    annotations = record.annotations and {
        name: None if label is None else _OTHER[label] for name, label in record.annotations.items()
    }
    return record.model_copy(
        update={
            "answer_a": record.answer_b,
            "answer_b": record.answer_a,
            "system_a": record.system_b,
            "system_b": record.system_a,
            "gold": record.gold and _OTHER[record.gold],
            "annotations": annotations,
        }
    )


ORDER = (
    Perturbation(
        "order_swap",
        "order",
        ("pairwise",),
        "everywhere",
        "The two answers are exchanged, so the labels must be exchanged too. A judge that is asked in both orders asks "
        "the same two questions of the exchanged record, so its combined verdict cannot change; there the two orders "
        "of each record are compared with each other, and the flips are those of a single order. A flip towards the "
        "answer that is shown first counts as won.",
        swapped,
        effect="swap",
    ),
)
