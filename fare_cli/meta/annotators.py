"""A judge among people: agreement with several annotators, and how well they agree among themselves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from fare_cli.meta.bootstrap import Counts, Estimate, Statistic, bootstrap, kappa_of
from fare_cli.meta.clusters import Clusters
from fare_cli.meta.score import pearson, weighted_kappa

Label = str | float
#: For each record the labels by annotator; None or no entry: that one did not label it.
Annotations = Sequence[Mapping[str, Label | None]]

#: How labels are compared: as classes, as ranks, or as numbers.
Level = Literal["nominal", "ordinal", "interval"]

#: Two annotators are compared by kappa where they share so many records.
FEWEST_SHARED = 30


class Agreement(NamedTuple):
    """How a judge agrees with people, beside how people agree with each other; None where it is not defined.

    `kappa_with` is Cohen's kappa (with quadratic weights unless the labels are nominal) of the judge and each annotator
    who shares 30 records with it; `kappa_judge` the mean of these, `kappa_people` the mean over all pairs of annotators
    who share 30. `alpha_people` is Krippendorff's alpha among people, `alpha_with_judge` with the judge as one more.
    """

    kappa_with: dict[str, float | None]
    kappa_judge: Estimate | None
    kappa_people: Estimate | None
    alpha_people: Estimate | None
    alpha_with_judge: Estimate | None


class Ceiling(NamedTuple):
    """How well one person can be foretold from the others, and how well the judge meets the same mark.

    Every annotator is left out in turn, on every record that has another one. `people`: the left-out one's labels
    against the others', `judge`: the judge's against the same. Of nominal labels `measure` is the accuracy against the
    others' majority (where several labels are equally frequent, a share of each); of numbers it is Pearson's
    correlation with the others' mean. `difference` is judge less people: above 0 the judge is closer to people than
    they are to each other.
    """

    measure: Literal["accuracy", "correlation"]
    people: Estimate | None
    judge: Estimate | None
    difference: Estimate | None


def measure_agreement(
    judge: Sequence[Label | None], people: Annotations, clusters: Clusters = None, *, level: Level = "nominal"
) -> Agreement:
    """Agreement of a judge (None: no label) with people, by kappa and alpha."""
    if len(judge) != len(people):
        raise ValueError(f"{len(judge)} labels for {len(people)} annotated records")
    names = list(dict.fromkeys(name for labels in people for name in labels))
    columns = {name: [labels.get(name) for labels in people] for name in names}
    with_judge = {name: _kappa(judge, columns[name], level) for name in names}
    of_judge = {name: statistic for name, statistic in with_judge.items() if statistic is not None}
    among = [_kappa(columns[one], columns[other], level) for one, other in combinations(names, 2)]
    records, every = len(judge), np.ones(len(judge), np.intp)
    every_one = [[label for label in labels.values() if label is not None] for labels in people]
    joined = [labels if label is None else [*labels, label] for labels, label in zip(every_one, judge, strict=True)]
    return Agreement(
        kappa_with={name: _or_none(statistic(every)) for name, statistic in of_judge.items()},
        kappa_judge=_mean_of(list(of_judge.values()), records, clusters),
        kappa_people=_mean_of([one for one in among if one is not None], records, clusters),
        alpha_people=bootstrap(alpha(every_one, level), records, clusters),
        alpha_with_judge=bootstrap(alpha(joined, level), records, clusters),
    )


def human_ceiling(
    judge: Sequence[Label | None], people: Annotations, clusters: Clusters = None, *, level: Level = "nominal"
) -> Ceiling:
    """The ceiling that people reach among themselves; records without a label of the judge count for neither."""
    records, person, ours, mark = [], [], [], []
    for record, (said, labels) in enumerate(zip(judge, people, strict=True)):
        given = [label for label in labels.values() if label is not None]
        if said is None or len(given) < 2:
            continue
        for left_out, label in enumerate(given):
            others = given[:left_out] + given[left_out + 1 :]
            records.append(record)
            if level == "nominal":
                modes = _modes(others)
                person.append((label in modes) / len(modes))
                ours.append((said in modes) / len(modes))
            else:
                person.append(float(label))
                ours.append(float(said))
                mark.append(math.fsum(map(float, others)) / len(others))
    where = np.array(records, np.intp)

    def over_labels(statistic: Statistic) -> Statistic:
        """Of labels where resampling draws records."""
        return lambda drawn: statistic(drawn[where])

    if level == "nominal":
        of_person, of_judge = (over_labels(_share(credits)) for credits in (person, ours))
    else:
        of_person, of_judge = (over_labels(pearson(side, mark)) for side in (person, ours))
    return Ceiling(
        "accuracy" if level == "nominal" else "correlation",
        bootstrap(of_person, len(judge), clusters),
        bootstrap(of_judge, len(judge), clusters),
        bootstrap(lambda drawn: of_judge(drawn) - of_person(drawn), len(judge), clusters),
    )


def alpha(labels: Sequence[Sequence[Label]], level: Level = "nominal") -> Statistic:
    """Krippendorff's alpha (2011) of the labels of each record; not defined where all are the same.

    1 less the disagreement within records by that between all labels, both from sums over records: the library
    krippendorff gives the same number, but by records x labels^2 floats, which are 15 GB for 600 records with 1,800
    different scores, and for every resample anew.
    """
    paired = [given if len(given) > 1 else [] for given in labels]
    domain = sorted({one for given in paired for one in given})
    codes = {label: code for code, label in enumerate(domain)}
    each = [(record, codes[label]) for record, given in enumerate(paired) for label in given]
    rows, columns = zip(*each, strict=True) if each else ((), ())
    counts = csr_array((np.ones(len(each)), (rows, columns)), shape=(len(labels), max(len(domain), 1)))
    sizes = np.array([len(given) for given in paired], float)
    pairs = 1 / np.maximum(sizes - 1, 1)
    alike = np.asarray(counts.multiply(counts).sum(1))
    numbers = np.zeros(0) if level == "nominal" else np.array(domain, float)
    # Of numbers far from 0 the squares would lose what they differ by.
    numbers = numbers - numbers.mean() if len(numbers) else numbers

    def statistic(drawn: Counts) -> float:
        weights = drawn.astype(float)
        margins = np.asarray(weights @ counts)
        total = margins.sum()
        if np.count_nonzero(margins) < 2:
            return math.nan
        if level == "nominal":
            within, between = sizes**2 - alike, total**2 - margins @ margins
        else:
            # A rank is the mean one of its label: the labels below, and half of the equal ones.
            places = numbers if level == "interval" else np.cumsum(margins) - margins / 2
            within = 2 * (sizes * (counts @ places**2) - (counts @ places) ** 2)
            between = 2 * (total * (margins @ places**2) - (margins @ places) ** 2)
        return float(1 - (weights @ (within * pairs)) / (between / (total - 1)))

    return statistic


def _kappa(one: Sequence[Label | None], other: Sequence[Label | None], level: Level) -> Statistic | None:
    """Cohen's kappa on the records that both labelled; None where these are too few."""
    shared = [index for index, pair in enumerate(zip(one, other, strict=True)) if None not in pair]
    if len(shared) < FEWEST_SHARED:
        return None
    labels = [[label for index in shared if (label := side[index]) is not None] for side in (one, other)]
    if level == "interval":
        numbers = [[float(label) for label in side] for side in labels]
        statistic = weighted_kappa(numbers[0], numbers[1])
    else:
        codes = {label: code for code, label in enumerate(sorted({label for side in labels for label in side}))}
        coded = [[codes[label] for label in side] for side in labels]
        statistic = (kappa_of if level == "nominal" else weighted_kappa)(coded[0], coded[1])
    return lambda drawn: statistic(drawn[shared])


def _mean_of(statistics: Sequence[Statistic], records: int, clusters: Clusters) -> Estimate | None:
    if not statistics:
        return None
    return bootstrap(lambda drawn: math.fsum(one(drawn) for one in statistics) / len(statistics), records, clusters)


def _modes(labels: Sequence[Label]) -> set[Label]:
    times = Counter(labels)
    most = max(times.values())
    return {label for label, count in times.items() if count == most}


def _share(credits: Sequence[float]) -> Statistic:
    numbers = np.asarray(credits, float)
    return lambda drawn: float(drawn @ numbers / drawn.sum())


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
