"""The label trie: probabilities of labels from logits, against brute force over whole sequences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.engine.choice import Choice

VOCABULARY = 6


class RandomModel:
    """A language model over six tokens: next-token logits drawn from the prefix alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def logits(self, prefix: tuple[int, ...]) -> np.ndarray:
        generator = np.random.default_rng([self._seed, len(prefix), *prefix])
        return generator.normal(0, 2, VOCABULARY).astype(np.float32)

    def log_probability(self, prefix: tuple[int, ...], token: int) -> float:
        row = self.logits(prefix).astype(float)
        return float(row[token] - np.logaddexp.reduce(row))


paths = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=4).map(tuple)
label_sets = st.lists(paths, min_size=1, max_size=9, unique=True)


def read(choice: Choice, model: RandomModel) -> dict[str, float]:
    """Feeds the chains as the engine does, behind a marker that is the empty prefix."""
    rows = {}
    for chain in choice.chains:
        for row, node in zip(chain.rows, chain.nodes, strict=True):
            rows[node] = model.logits(chain.tokens[: row + 1])
    result = choice.log_probabilities(rows)
    assert result is not None
    return result


@given(label_sets, st.integers(0, 1000))
def test_probabilities_are_those_of_brute_force(label_paths: list[tuple[int, ...]], seed: int) -> None:
    model = RandomModel(seed)
    choice = Choice({str(path): path for path in label_paths})
    got = read(choice, model)
    expected = {}
    for path in label_paths:
        score = 0.0
        for depth in range(len(path)):
            others = [p for p in label_paths if p[:depth] == path[:depth]]
            if len({p[depth] if depth < len(p) else None for p in others}) > 1:
                score += model.log_probability(path[:depth], path[depth])
        longer = {p[len(path)] for p in label_paths if p[: len(path)] == path and len(p) > len(path)}
        if longer:
            taken = sum(math.exp(model.log_probability(path, token)) for token in longer)
            score += math.log(max(1 - taken, 1e-12))
        expected[str(path)] = score
    total = np.logaddexp.reduce(list(expected.values()))
    for label, score in expected.items():
        assert got[label] == pytest.approx(score - total, abs=1e-4)
    assert sum(math.exp(value) for value in got.values()) == pytest.approx(1)


@given(label_sets)
def test_chains_visit_every_inner_node_once(label_paths: list[tuple[int, ...]]) -> None:
    choice = Choice({str(path): path for path in label_paths})
    visited = [node for chain in choice.chains for node in chain.nodes]
    assert sorted(visited) == sorted(choice.nodes)
    for chain in choice.chains:
        for row, node in zip(chain.rows, chain.nodes, strict=True):
            assert chain.tokens[: row + 1] == node


def test_what_all_labels_share_is_only_passed_through() -> None:
    choice = Choice({" [A]": (7, 1, 9), " [B]": (7, 2, 9)})
    assert choice.nodes == ((7,),)
    assert [chain.tokens for chain in choice.chains] == [(7,)]


def test_fourteen_step_labels_cost_three_nodes() -> None:
    minus, space, digits = 100, 101, list(range(10))
    labels = {"-1": (minus, 1)}
    for number in range(13):
        labels[str(number)] = (space, *[digits[int(d)] for d in str(number)])
    assert len(Choice(labels).nodes) == 3


def test_not_a_number_is_no_reading() -> None:
    choice = Choice({"yes": (1,), "no": (2,)})
    row = np.array([0.0, float("nan"), 1.0], dtype=np.float32)
    assert choice.log_probabilities({(): row}) is None


@pytest.mark.parametrize("labels", [{}, {"a": ()}, {"a": (1,), "b": (1,)}])
def test_labels_that_cannot_be_told_apart_are_refused(labels: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValueError):
        Choice(labels)


def test_one_label_is_certain() -> None:
    assert Choice({"only": (1, 2)}).log_probabilities({}) == {"only": 0.0}
