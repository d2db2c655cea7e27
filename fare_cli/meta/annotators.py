"""A judge among people: agreement with several annotators, and how well they agree among themselves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import krippendorff
import numpy as np
from scipy.sparse import csr_array

from fare_cli.meta.bootstrap import Counts, Estimate, Floats, Statistic, bootstrap, kappa_of
from fare_cli.meta.clusters import Clusters
from fare_cli.meta.score import pearson

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
        alpha_people=_alpha(every_one, level, clusters),
        alpha_with_judge=_alpha(joined, level, clusters),
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

    Through the coincidence matrix, which is a sum over records: a resample costs one product with a sparse matrix.
    """
    domain = {label: code for code, label in enumerate(sorted({one for given in labels for one in given}))}
    size = len(domain)
    numbers = np.array([0.0 if level == "nominal" else float(label) for label in domain])
    rows, cells, shares = [], [], []
    for record, given in enumerate(labels):
        codes = Counter(domain[label] for label in given)
        for one, times in codes.items():
            for other, of_other in codes.items():
                rows.append(record)
                cells.append(one * size + other)
                shares.append(times * (of_other - (one == other)) / max(len(given) - 1, 1))
    by_record = csr_array((shares, (rows, cells)), shape=(len(labels), size * size), dtype=float)

    def statistic(drawn: Counts) -> float:
        coincidences = np.asarray(drawn.astype(float) @ by_record).reshape(size, size)
        margins = coincidences.sum(0)
        apart = _distances(level, numbers, margins)
        by_chance = np.outer(margins, margins) / (margins.sum() - 1)
        return float(1 - np.sum(coincidences * apart) / np.sum(by_chance * apart))

    return statistic


def _distances(level: Level, numbers: Floats, margins: Floats) -> Floats:
    """How far two labels are apart, squared; of ranks by how many labels lie between them."""
    if level == "nominal":
        return 1 - np.eye(len(numbers))
    if level == "ordinal":
        # Half of the labels of either end: the mean rank of each.
        numbers = np.cumsum(margins) - margins / 2
    found: Floats = np.subtract.outer(numbers, numbers) ** 2
    return found


def _alpha(labels: Sequence[Sequence[Label]], level: Level, clusters: Clusters) -> Estimate | None:
    """The value as the library krippendorff has it, the interval by `alpha`, which is the same in a thousandth of the
    time (a test compares them)."""
    domain = sorted({one for given in labels for one in given})
    if len(domain) < 2:
        return None
    counts = np.array([[given.count(label) for label in domain] for given in labels])
    found = bootstrap(alpha(labels, level), len(labels), clusters)
    if found is None:
        return None
    names = np.array(domain) if level == "nominal" else np.array(domain, float)
    value = float(krippendorff.alpha(value_counts=counts, value_domain=names, level_of_measurement=level))
    return Estimate(value, found.interval)


def _kappa(one: Sequence[Label | None], other: Sequence[Label | None], level: Level) -> Statistic | None:
    """Cohen's kappa on the records that both labelled; None where these are too few."""
    shared = [index for index, pair in enumerate(zip(one, other, strict=True)) if None not in pair]
    if len(shared) < FEWEST_SHARED:
        return None
    labels = [[side[index] for index in shared] for side in (one, other)]
    domain = sorted({label for side in labels for label in side if label is not None})
    codes = [[domain.index(label) for label in side if label is not None] for side in labels]
    numbers = np.arange(len(domain), dtype=float) if level != "interval" else np.array(domain, float)
    apart = 1 - np.eye(len(domain)) if level == "nominal" else np.subtract.outer(numbers, numbers) ** 2
    statistic = kappa_of(codes[0], codes[1], apart)
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
