"""One plain sentence for every term that stands on the page."""

from __future__ import annotations

from dataclasses import replace

from fare_cli.report.model import Column, Table

TERMS = {
    # what was judged
    "judge": "The program that gave these verdicts: a small language model with fixed instructions.",
    "record": "One case that was judged: a question with what was answered to it.",
    "verdict": "What the judge decided about a record.",
    "gold": "The answer that is known to be right for a record, given with it by people or by how it was made.",
    "95% interval": "Where the true figure would lie for endlessly many records like these, in 95 of 100 cases.",
    "confidence": "The probability that the judge itself gave to its verdict; being sure is not being right.",
    "probability": "How the judge divided its belief among all possible verdicts: together they are 1.",
    "critique": "What the judge wrote about the answers before it gave its verdict.",
    "order": "Each pair is shown to the judge twice, once with answer A first and once with answer B first.",
    "margin": "How far the judge's label was ahead of the next one, in nats; 0 is a coin toss, 2 is clear.",
    "forced": "The judge wrote no verdict by itself, so the line for it was put there and the judge filled it in.",
    "truncated": "The judge's text was longer than allowed and was cut before the verdict was read.",
    "blind": "You do not see what the judge said before you have decided for yourself.",
    "fingerprint": "A short code for model, instructions and settings: another code is another judge.",
    # pairs
    "win rate of answer B": "How often answer B was preferred; a tie or a pair without a verdict is half a win.",
    "accuracy": "How often the judge's verdict is the one known to be right; giving none counts as wrong.",
    "accuracy, decided pairs": "The same, of those pairs only that it gave a verdict on.",
    "both orders right": "How often it chose the right answer whichever of the two was shown first.",
    "accuracy, answer A shown first": "How often it is right in that order by itself.",
    "accuracy, answer B shown first": "How often it is right in the other order by itself.",
    "orders agree": "How often it chose the same answer whichever of the two was shown first.",
    "always the first shown": "How often it chose what was shown first, in both orders: that is no judgment.",
    "always the second shown": "How often it chose what was shown second, in both orders: that is no judgment.",
    "position bias": "How much more than half of its choices fell on the answer shown first; 0 is fair.",
    "position bias in nats": "The same as a push on the judge's own odds; 0 is fair, below 0 favours the second.",
    "undecided": "Pairs without a verdict, because the judge contradicted itself when the answers changed places.",
    # steps
    "solutions with a wrong step": "How often the judge found a mistake somewhere in the solution.",
    "F1": "One figure for two skills, finding mistakes and leaving alone what is right; 1 is perfect, 0 useless.",
    "accuracy, a step is wrong": "Of solutions with a mistake: how often it named the very step.",
    "accuracy, no step is wrong": "Of solutions without a mistake: how often it said so.",
    "whether a step is wrong": "How often it knew whether there is a mistake at all, wherever it put it.",
    # right or wrong
    "answers held right": "How often the judge said that the answer is right.",
    "balanced accuracy": "The mean of how often it is right on right and on wrong answers; 0.5 is guessing.",
    "precision": "Of the answers that it held right: how many are.",
    "recall": "Of the answers that are right: how many it held right.",
    "MCC": "How far its yes and no go with what is right; 1 is perfect, 0 is guessing.",
    "AUROC": "How often a right answer got a higher probability of yes than a wrong one; 0.5 is guessing.",
    # scores
    "mean score": "The mean of the scores, each weighted by the judge's own probabilities.",
    "expected score": "The mean of all scores on the scale, weighted by how probable the judge held each.",
    "records": "How many records there are, or count here.",
    "Pearson": "How far its scores rise and fall with the known ones; 1 is in step, 0 is unrelated.",
    "Spearman": "The same for the order of the scores alone.",
    "Kendall's tau-b": "The same, by counting which of two records is the better one.",
    "mean absolute error": "By how many points it is off on average.",
    "root mean squared error": "By how many points it is off, large misses weighing more.",
    "bias (said less gold)": "How many points too high it scores on average; below 0: too low.",
    "quadratic kappa": "Agreement with the known scores beyond chance, near misses counting in part; 1 is full.",
    # certainty
    "accuracy by confidence": "Whether it is right as often as it is sure: on the dashed line it would be.",
    # people
    "kappa, judge with a person": "How far the judge agrees with a person, beyond chance; 1 is full, 0 is chance.",
    "kappa, person with a person": "How far two people agree with each other, beyond chance.",
    "kappa (quadratic), judge with a person": "How far the judge agrees with a person, near misses counting in part.",
    "kappa (quadratic), person with a person": "How far two people agree, near misses counting in part.",
    "Krippendorff's alpha, people": "How far all people agree, beyond chance; 1 is full, 0 is chance.",
    "Krippendorff's alpha, people and judge": "The same with the judge as one more person.",
    "accuracy, a person against the others' majority": "How often a person says what most others say.",
    "accuracy, the judge against the same": "How often the judge says what most of those others say.",
    "correlation, a person against the others' mean": "How far a person's scores go with the mean of the others'.",
    "correlation, the judge against the same": "How far the judge's scores go with the mean of those others.",
    "judge less person": "Above 0 the judge is closer to people than they are to each other.",
    # records
    "clusters": "Groups of records that belong together, such as those of one question; they are not independent.",
    "invalid": "Records that could not be judged; they are in no other figure.",
    "without gold": "Records for which nobody said what is right.",
    "gold this judge cannot be right or wrong about": "Records whose known label is none that the judge can give.",
    "without a verdict line of its own": "Records where the judge had to be led to a verdict.",
    "cut at --max-tokens": "Records where the judge's text was cut because it was too long.",
}  # fmt: skip

#: Terms that stand in lists and record views, not in tables of measures.
GLOSSARY = (
    "judge", "record", "verdict", "gold", "95% interval", "confidence", "probability", "expected score", "critique",
    "order", "margin", "forced", "truncated", "blind", "fingerprint",
)  # fmt: skip


def explained(table: Table) -> Table:
    """A table of measures with a plain sentence for each row. Raises KeyError for a term that has none."""
    rows = tuple((*row, _sentence(str(row[0]))) for row in table.rows)
    return replace(table, columns=(*table.columns, Column("meaning", "in plain words")), rows=rows)


def _sentence(term: str) -> str:
    kind = "invalid: "
    return f"The reason of some of them: {term.removeprefix(kind)}." if term.startswith(kind) else TERMS[term]
