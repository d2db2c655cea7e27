"""How good the judge of right and wrong is."""

from __future__ import annotations

from collections.abc import Sequence

from fare_cli.meta.verify import measure_verify
from fare_cli.report.model import Column, Table
from fare_cli.studies.evaluating.case import Case, clusters_of, judged
from fare_cli.studies.evaluating.parts import Part, measures_table


def verify_parts(cases: Sequence[Case]) -> list[Part]:
    """Accuracy, F1, MCC and AUROC, and the counts that they are made of."""
    known = [case for case in judged(cases) if case.verdict is not None and case.gold is not None]
    if not known:
        return []
    said, gold = [case.verdict == "yes" for case in known], [case.gold == "yes" for case in known]
    p_yes = [(case.probabilities or {}).get("yes") for case in known]
    sure = [share for share in p_yes if share is not None]
    measures = measure_verify(said, gold, clusters_of(known), p_yes=sure if len(sure) == len(known) else None)
    counts = measures.confusion
    return [
        measures_table(
            "verify",
            "whether an answer is right",
            [
                ("accuracy", measures.accuracy),
                ("balanced accuracy", measures.balanced_accuracy),
                ("F1", measures.f1),
                ("precision", measures.precision),
                ("recall", measures.recall),
                ("MCC", measures.mcc),
                ("AUROC", measures.auroc),
            ],
            "The positive class is yes: the answer is right. Balanced accuracy: the mean of those on right and on "
            "wrong answers. AUROC: how probable it is that a right answer got a higher p(yes) than a wrong one.",
        ),
        Table(
            "confusion",
            "what was said of right and of wrong answers",
            (Column("gold", "gold"), Column("yes", "said yes"), Column("no", "said no")),
            (("yes", counts.true_yes, counts.false_no), ("no", counts.false_yes, counts.true_no)),
        ),
    ]
