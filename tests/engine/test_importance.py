"""The importance of weights is what their inputs are: compared with a computation by hand, and in its effect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGUFReader, dequantize

from fare_cli.asks import Ask, Direct, Message, Piece
from fare_cli.engine.importance import Importance, measure_importance
from fare_cli.engine.native import Model
from fare_cli.engine.template import ChatTemplate
from fare_cli.engine.turns import Turns
from fare_cli.errors import ModelError
from fare_cli.gguf.quantize import quantize
from tests.engine.tiny_models import write_gpt_oss, write_qwen3

ASKS = [
    Ask(str(number), (Message("user", (Piece(text, False),)),), Direct("Verdict:", (" yes", " no")))
    for number, text in enumerate(["Is the answer right?", "Some longer text. " * 40, "x"])
]


def tensor(path: Path, name: str) -> npt.NDArray[np.float32]:
    found = next(one for one in GGUFReader(path).tensors if one.name == name)
    return np.asarray(dequantize(found.data, found.tensor_type), np.float32)


def prompt_ids(path: Path) -> list[list[int]]:
    model = Model(path, gpu_layers=0)
    turns = Turns(model, ChatTemplate(model))
    ids = [turns.job(ask).tokens for ask in ASKS]
    model.close()
    return ids


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen3(tmp_path_factory.mktemp("model") / "dense.gguf")


@pytest.fixture(scope="module")
def measured(dense: Path) -> Importance:
    return measure_importance(dense, ASKS, threads=1)


def test_every_matrix_of_every_layer_is_measured(measured: Importance, dense: Path) -> None:
    names = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}
    assert set(measured.rows) == {f"blk.{layer}.{name}.weight" for layer in range(2) for name in names}
    for name, row in measured.rows.items():
        assert row.shape == tensor(dense, name).shape[1:]
        assert np.isfinite(row).all()
        assert (row >= 0).all()
    assert measured.prompts == 3
    assert measured.tokens == sum(map(len, prompt_ids(dense)))


def test_the_first_layers_inputs_are_the_normed_embeddings_squared(measured: Importance, dense: Path) -> None:
    ids = np.concatenate([np.array(tokens) for tokens in prompt_ids(dense)])
    embedded = tensor(dense, "token_embd.weight")[ids].astype(np.float64)
    normed = embedded / np.sqrt((embedded**2).mean(axis=1, keepdims=True) + 1e-6)
    normed *= tensor(dense, "blk.0.attn_norm.weight")
    for name in ("attn_q", "attn_k", "attn_v"):
        np.testing.assert_allclose(measured.rows[f"blk.0.{name}.weight"], (normed**2).mean(axis=0), rtol=1e-4)


def test_the_last_layer_counts_all_rows_and_not_only_the_last(dense: Path) -> None:
    """Two prompts give the mean of what each gives alone, weighed by tokens: also behind the last attention."""
    both, first, second = (measure_importance(dense, asks, threads=1) for asks in (ASKS[:2], ASKS[:1], ASKS[1:2]))
    for name in ("blk.1.ffn_down.weight", "blk.1.attn_output.weight"):
        expected = (first.rows[name] * first.tokens + second.rows[name] * second.tokens) / both.tokens
        np.testing.assert_allclose(both.rows[name], expected, rtol=1e-2)


def test_experts_are_measured_on_the_tokens_that_went_to_them(tmp_path: Path) -> None:
    path = write_gpt_oss(tmp_path / "experts.gguf", layers=2)
    found = measure_importance(path, ASKS, threads=1)
    for layer in range(2):
        gate = found.rows[f"blk.{layer}.ffn_gate_exps.weight"].reshape(4, 64).astype(np.float64)
        np.testing.assert_array_equal(gate, found.rows[f"blk.{layer}.ffn_up_exps.weight"].reshape(4, 64))
        # The router sees every token once and sends it to 2 of 4 experts, so that the experts' sums make up twice its
        # own; the only unknowns are how many tokens each expert got.
        router = found.rows[f"blk.{layer}.ffn_gate_inp.weight"].astype(np.float64)
        tokens, *_ = np.linalg.lstsq(gate.T, 2 * found.tokens * router, rcond=None)
        np.testing.assert_allclose(tokens, tokens.round(), atol=0.05)
        assert tokens.round().sum() == 2 * found.tokens
        assert (tokens.round() >= 0).all()


def test_a_long_prompt_is_cut(dense: Path) -> None:
    assert measure_importance(dense, ASKS, threads=1, most_tokens=256).tokens < sum(map(len, prompt_ids(dense)))


def test_quantising_is_closest_where_it_matters_most(dense: Path, measured: Importance, tmp_path: Path) -> None:
    """A column that is said to matter a million times more is kept better than without, at the cost of its block."""
    name = "blk.0.ffn_up.weight"
    rows = {key: row.copy() for key, row in measured.rows.items()}
    rows[name][:] = 1
    rows[name][5] = 1e6
    np.savez(tmp_path / "matrix.npz", **rows)
    source = tensor(dense, name)
    errors = []
    for matrix in (None, tmp_path / "matrix.npz"):
        quantize(dense, tmp_path / "out.gguf", "Q4_0", imatrix=matrix, threads=1)
        errors.append(((tensor(tmp_path / "out.gguf", name) - source) ** 2).mean(axis=0))
    assert errors[1][5] < errors[0][5] / 4


def test_a_matrix_of_another_model_is_refused(dense: Path, measured: Importance, tmp_path: Path) -> None:
    np.savez(tmp_path / "matrix.npz", **{name: row[:-1].copy() for name, row in measured.rows.items()})
    with pytest.raises(ModelError, match="imatrix size"):
        quantize(dense, tmp_path / "out.gguf", "Q4_0", imatrix=tmp_path / "matrix.npz", threads=1)
