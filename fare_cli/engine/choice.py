"""The label trie: how the probabilities of a closed set of labels are read from a model's logits.

Labels are token paths that start behind the marker. What all of them share (`" ["` of `" [A]"` and `" [B]"`) says
nothing about the choice and is only passed through. Logits are needed at the inner nodes where paths part; behind the
point where a label is alone, nothing is read: its probability is that of committing to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fare_cli.engine.native import Row

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Tokens to feed behind the marker in one go, and the inner nodes whose logits come out of it.

    `nodes[i]` is read from the row of token `rows[i]` of `tokens`; row -1 is the last row before them (the marker's
    own)."""

    tokens: Path
    rows: tuple[int, ...]
    nodes: tuple[Path, ...]


class Choice:
    """The trie over labels, given as token paths behind the marker.

    `shared` is the common beginning, `nodes` the inner nodes (paths, `shared` included), `chains` how to visit them
    all. Raises ValueError for no labels, an empty path or two labels with the same path."""

    def __init__(self, labels: Mapping[str, Sequence[int]]) -> None:
        self.paths: dict[str, Path] = {label: tuple(path) for label, path in labels.items()}
        if not self.paths or not all(self.paths.values()):
            raise ValueError("a choice needs labels, each at least one token long")
        if len(set(self.paths.values())) != len(self.paths):
            raise ValueError(f"two labels have the same tokens: {sorted(self.paths)}")
        self._children: dict[Path, set[int]] = {}
        for path in self.paths.values():
            for depth in range(len(path)):
                self._children.setdefault(path[:depth], set()).add(path[depth])
        self._ends = set(self.paths.values())
        self.nodes = tuple(sorted((p for p in self._children if self._parts(p)), key=lambda p: (len(p), p)))
        self.shared: Path = self.nodes[0] if self.nodes else ()
        self.chains = self._make_chains()

    def _parts(self, path: Path) -> bool:
        """Whether labels part at this node: several go on, or one ends here and others go on."""
        return len(self._children[path]) + (path in self._ends) > 1

    def _make_chains(self) -> tuple[Chain, ...]:
        nodes = set(self.nodes)
        above = {node[:depth] for node in self.nodes for depth in range(len(node))}
        chains, seen = [], set[Path]()
        for leaf in (node for node in self.nodes if node not in above):
            on_the_way = [leaf[:i] for i in range(len(leaf) + 1) if leaf[:i] in nodes and leaf[:i] not in seen]
            seen.update(on_the_way)
            chains.append(Chain(leaf, tuple(len(n) - 1 for n in on_the_way), tuple(on_the_way)))
        return tuple(chains)

    def log_probabilities(self, rows: Mapping[Path, Row]) -> dict[str, float] | None:
        """Natural log-probabilities of the labels, normalised over them, from the logits at every inner node.

        Full-vocabulary log-probabilities are summed along a label's path; a label that ends where others go on keeps
        what they leave it there. None if the logits hold a NaN or no label has any probability."""
        if not self.nodes:
            return dict.fromkeys(self.paths, 0.0)
        tables = {}
        for node, row in rows.items():
            values = row.astype(np.float64)
            top = values.max()
            if not np.isfinite(top):
                return None
            total = top + np.log(np.exp(values - top).sum())
            if not np.isfinite(total):
                return None
            tables[node] = {token: float(values[token] - total) for token in self._children[node]}
        return self.combined(tables)

    def children(self, node: Path) -> tuple[int, ...]:
        """The tokens that labels go on with behind a node."""
        return tuple(sorted(self._children[node]))

    def combined(self, tables: Mapping[Path, Mapping[int, float]]) -> dict[str, float] | None:
        """The same from log-probabilities over the whole vocabulary: at every inner node those of its children."""
        if not self.nodes:
            return dict.fromkeys(self.paths, 0.0)
        scores = {label: self._score(path, tables) for label, path in self.paths.items()}
        total = float(np.logaddexp.reduce(list(scores.values())))
        if not np.isfinite(total):
            return None
        return {label: float(score - total) for label, score in scores.items()}

    def _score(self, path: Path, tables: Mapping[Path, Mapping[int, float]]) -> float:
        score = 0.0
        for depth in range(len(path)):
            table = tables.get(path[:depth])
            if table is not None:
                score += table[path[depth]]
        ends_inside = tables.get(path)
        if ends_inside is not None:
            left = 1.0 - sum(np.exp(value) for value in ends_inside.values())
            score += float(np.log(max(left, 1e-12)))
        return score
