"""How hard each question is, on one scale with how strong each system is.

The Rasch model: a system with ability a answers an item of difficulty b rightly with the log-odds a - b, so it has even
odds on an item of its own rating, as in AGI-Elo (Sun et al. 2025, arXiv 2505.12844). That paper updates ratings
match by match; here they are fitted at once, since results of a file have no order in time. With few systems an item's
difficulty cannot be estimated by itself (four systems right is no information how easy), so difficulties are taken as
drawn from a normal distribution whose spread is estimated, too: marginal maximum likelihood and expected a-posteriori
difficulties (Bock & Aitkin 1981, Psychometrika 46:443), which also keeps abilities free of the bias that fitting one
parameter an item would bring.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import norm

from fare_cli.meta.agreement import Interval
from fare_cli.meta.bootstrap import Estimate
from fare_cli.rank.bradley_terry import MEAN_ELO, QUANTILE
from fare_cli.rank.davidson import ELO, Floats

#: Standard deviation of the weak normal prior of abilities, so that a system that is always right stays finite.
_PRIOR_NATS = 1000 / ELO
#: Points at which the distribution of difficulties is summed up, from -4 to 4 standard deviations.
_NODES = np.linspace(-4.0, 4.0, 41)
_MASS = norm.pdf(_NODES) / norm.pdf(_NODES).sum()


class Difficulties(NamedTuple):
    """Abilities of systems and difficulties of items, in Elo points; the mean of the systems is at 1,000.

    Intervals of abilities are for questions like these (information from the items' scores), those of difficulties hold
    95% of what is believed of the item after its answers were seen. `spread` is the standard deviation of difficulties.
    """

    abilities: Mapping[str, Estimate]
    items: Mapping[Hashable, Estimate]
    spread: float


class Answered(NamedTuple):
    """Whether a system's answer to an item was right."""

    system: str
    item: Hashable
    right: bool


def fit_difficulties(answers: Sequence[Answered]) -> Difficulties | None:
    """Abilities and difficulties from who was right about what; None with fewer than two systems or items.

    Several answers of a system to an item all count; a system need not have answered everything.
    """
    systems = {name: code for code, name in enumerate(dict.fromkeys(one.system for one in answers))}
    items = {name: code for code, name in enumerate(dict.fromkeys(one.item for one in answers))}
    if len(systems) < 2 or len(items) < 2:
        return None
    right, wrong = np.zeros((len(items), len(systems))), np.zeros((len(items), len(systems)))
    for one in answers:
        (right if one.right else wrong)[items[one.item], systems[one.system]] += 1

    start = np.zeros(len(systems) + 1)
    found = minimize(_loss, start, args=(right, wrong), jac=True, method="BFGS", options={"gtol": 1e-6}).x
    scores, posterior = _scores(found, right, wrong)
    prior = np.diag([*[1 / _PRIOR_NATS**2] * len(systems), 1e-6])
    covariance = np.linalg.inv(scores.T @ scores + prior)
    abilities, spread = found[:-1], math.exp(found[-1])
    middle = float(abilities.mean())
    nodes = _NODES * spread
    means = posterior @ nodes
    errors = np.sqrt(np.maximum(posterior @ nodes**2 - means**2, 0.0))
    centre = np.eye(len(systems)) - 1 / len(systems)
    reach = np.sqrt(np.diag(centre @ covariance[:-1, :-1] @ centre))
    return Difficulties(
        {name: _elo(abilities[code] - middle, reach[code]) for name, code in systems.items()},
        {name: _elo(means[code] - middle, errors[code]) for name, code in items.items()},
        spread * ELO,
    )


def _elo(nats: float, error: float) -> Estimate:
    value, reach = MEAN_ELO + float(nats) * ELO, QUANTILE * float(error) * ELO
    return Estimate(value, Interval(value - reach, value + reach))


def _by_node(parameters: Floats, right: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """Log-likelihood of each item at each node, (items, nodes), and the log-odds of being right, (nodes, systems)."""
    logits = parameters[None, :-1] - (_NODES * math.exp(parameters[-1]))[:, None]
    return right @ log_expit(logits).T + wrong @ log_expit(-logits).T, logits


def _loss(parameters: Floats, right: Floats, wrong: Floats) -> tuple[float, Floats]:
    """What is made small, and its slope: minus the marginal log-likelihood and the log of the prior."""
    likely, _ = _by_node(parameters, right, wrong)
    scores, _ = _scores(parameters, right, wrong)
    value = -float(logsumexp(likely + np.log(_MASS), axis=1).sum()) + float((parameters[:-1] ** 2).sum()) / (
        2 * _PRIOR_NATS**2
    )
    # A spread of e^-5 or e^3 nats is none or all; without this pull it may run off where every item has one answer.
    value += 0.05 * float(parameters[-1]) ** 2
    slope = -scores.sum(0)
    slope[:-1] += parameters[:-1] / _PRIOR_NATS**2
    slope[-1] += 0.1 * parameters[-1]
    return value, slope


def _scores(parameters: Floats, right: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """The slope of each item's log-likelihood, (items, parameters), and what is believed of its difficulty,
    (items, nodes)."""
    likely, logits = _by_node(parameters, right, wrong)
    weighted = likely + np.log(_MASS)
    posterior: Floats = np.exp(weighted - logsumexp(weighted, axis=1, keepdims=True))
    chances = expit(logits)
    count = right + wrong
    of_systems = right - count * (posterior @ chances)
    left = right.sum(1)[:, None] - count @ chances.T
    of_spread = -(posterior * left * (_NODES * math.exp(parameters[-1]))[None, :]).sum(1)
    return np.column_stack([of_systems, of_spread]), posterior
