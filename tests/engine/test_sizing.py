"""How the cache is laid out and what goes to a GPU: from the model's header, the machine and the kind of work."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.engine.devices import Device
from fare_cli.engine.options import EngineOptions
from fare_cli.engine.sequences import EXTRA_SEQUENCES, MAX_SEQUENCES
from fare_cli.engine.sizing import Layout, Room, choose_layout, what_fits
from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.header import Header, Tensor
from fare_cli.gguf.memory import device_bytes

GIB = 1 << 30


def model(layers: int, width: int, heads: int, heads_kv: int, gigabytes: float, parameters: float) -> Header:
    """A llama of these dimensions, trained for 32,768 tokens, whose layers share the weights."""
    values: dict[str, Any] = {
        "block_count": layers,
        "embedding_length": width,
        "attention.head_count": heads,
        "attention.head_count_kv": heads_kv,
        "attention.key_length": 128,
        "attention.value_length": 128,
        "feed_forward_length": 3 * width,
    }
    each = int(gigabytes * 1e9) // (layers + 2)
    names = ["token_embd.weight", "output.weight", *(f"blk.{layer}.attn_q.weight" for layer in range(layers))]
    tensors = tuple(Tensor(name, (width, width), "Q8_0", each) for name in names)
    metadata = {f"llama.{name}": value for name, value in values.items()}
    return Header(metadata, "llama", "Q8_0", 32_768, int(parameters), 151_936, tensors)


SMALL = model(30, 576, 9, 3, 0.1, 135e6)
QWEN3_8B = model(36, 4096, 32, 8, 8.7, 8.19e9)


def choose(
    options: EngineOptions, header: Header = SMALL, *, memory: int = 16 * GIB, gpus: tuple[int, ...] = ()
) -> Layout:
    """The layout on a machine with so many bytes free, and so many on each GPU."""
    devices = [Device(f"GPU{number}", "a GPU", free, free, False) for number, free in enumerate(gpus)]
    return choose_layout(options, header, Room(memory, devices))


def test_a_context_the_model_was_not_trained_for_is_refused() -> None:
    with pytest.raises(UsageError, match="8192"):
        choose(EngineOptions(ctx=10_000), replace(SMALL, context_length=8192))


def test_a_header_without_a_context_length_is_refused() -> None:
    with pytest.raises(ModelError, match="context length"):
        choose(EngineOptions(), replace(SMALL, context_length=None))


@pytest.mark.parametrize("slots", [0, 257])
def test_impossible_slots_are_refused(slots: int) -> None:
    with pytest.raises(UsageError, match="--slots"):
        choose(EngineOptions(slots=slots))


def test_an_8b_model_on_a_small_laptop_gets_a_shared_cache() -> None:
    layout = choose(EngineOptions(work="critique"), QWEN3_8B, memory=16 * GIB)
    assert layout.context.unified
    assert layout.plan.total_bytes <= 16 * GIB


def test_a_cache_that_no_memory_can_hold_is_refused_with_what_would_fit() -> None:
    with pytest.raises(ModelError, match="does not fit") as caught:
        choose(EngineOptions(ctx=32_768, slots=1), QWEN3_8B, memory=16 * GIB)
    assert caught.value.exit_code == 5
    assert re.search(r"takes [\d.]+ GB: weights 8\.70, cache 9\.66, work space", caught.value.message)
    assert "17.18 GB of memory is free" in caught.value.message
    assert caught.value.hint
    assert "--ctx" in caught.value.hint
    assert "--kv-type q8_0" in caught.value.hint


def test_weights_that_do_not_fit_are_refused_with_another_quantisation() -> None:
    with pytest.raises(ModelError) as caught:
        choose(EngineOptions(ctx=1024), QWEN3_8B, memory=13 * GIB // 2)
    assert caught.value.hint == "what would fit: the same model in Q5_K_M (about 5.8 GB)"


def test_a_model_that_nothing_makes_fit_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        choose(EngineOptions(), QWEN3_8B, memory=GIB)
    assert "no setting" in str(caught.value.hint)


@pytest.mark.parametrize("gib", [9, 10, 12, 14, 16])
@pytest.mark.parametrize(
    "options",
    [
        EngineOptions(ctx=32_768),
        EngineOptions(ctx=16_384, slots=4, deterministic=True),
        EngineOptions(ctx=32_768, slots=2, flash=False),
        EngineOptions(ctx=32_768, slots=2, kv_type="q8_0", kv_layout="streams"),
    ],
)
def test_each_advice_makes_the_model_fit(options: EngineOptions, gib: int) -> None:
    room = Room(gib * GIB)
    try:
        choose_layout(options, QWEN3_8B, room)
    except ModelError:
        pass
    else:
        return
    advised = [advice for advice in what_fits(options, QWEN3_8B, room) if advice.startswith("--")]
    assert advised
    for advice in advised:
        words = shlex.split(advice)
        given = dict(zip(words[::2], words[1::2], strict=True))
        changed = replace(
            options,
            slots=int(given.get("--slots", options.slots or 0)) or None,
            ctx=int(given.get("--ctx", options.ctx or 0)),
            kv_type=given.get("--kv-type", options.kv_type),  # type: ignore[arg-type]
            flash=None if "--kv-type" in given else options.flash,
        )
        assert choose_layout(changed, QWEN3_8B, room).plan.total_bytes <= gib * GIB


def test_a_chosen_context_has_room_for_the_reply() -> None:
    assert choose(EngineOptions(reply_tokens=3000)).ctx == choose(EngineOptions()).ctx + 3000


@pytest.mark.parametrize(("ctx", "train"), [(2048, 32_768), (None, 2048)], ids=["asked for", "the model's"])
def test_a_context_that_replies_alone_would_fill_is_refused(ctx: int | None, train: int) -> None:
    with pytest.raises(UsageError, match="3000"):
        choose(EngineOptions(ctx=ctx, reply_tokens=3000), replace(SMALL, context_length=train))


def test_votes_share_cells_without_flash_attention() -> None:
    layout = choose(EngineOptions(work="votes"))
    assert layout.context.unified
    assert not layout.context.flash


def test_critiques_go_without_flash_attention_and_direct_judgments_with_it() -> None:
    assert not choose(EngineOptions(work="critique")).context.flash
    assert choose(EngineOptions(work="critique", ctx=16_384)).context.flash
    assert choose(EngineOptions(work="direct")).context.flash


def test_scores_that_would_not_fit_are_what_flash_attention_is_for() -> None:
    """A piece of 512 tokens has 2 GB of scores at a depth of 16,384 in this model."""
    many_heads = model(2, 4096, 64, 1, 0.1, 1e8)
    assert not choose(EngineOptions(ctx=8192), many_heads, memory=16 * GIB).context.flash
    assert choose(EngineOptions(ctx=8192), many_heads, memory=GIB).context.flash


def test_a_quantised_cache_is_smaller_and_read_by_flash_attention() -> None:
    options = EngineOptions(work="critique", kv_layout="streams", slots=4)
    plain, small = choose(options), choose(replace(options, kv_type="q8_0"))
    assert small.context.flash
    assert small.plan.kv_bytes == plain.plan.kv_bytes * 17 // 32


def test_deterministic_runs_keep_every_slot_in_its_own_stream() -> None:
    layout = choose(EngineOptions(deterministic=True, slots=1))
    assert layout.even
    assert not layout.context.unified
    assert layout.slots == 2


def test_what_stays_in_main_memory_must_fit_there_too() -> None:
    # Weights and cache fit into both together, but the token embeddings, 1.7 GB of them, are never on the GPU.
    with pytest.raises(ModelError, match="does not fit"):
        choose(EngineOptions(work="direct"), model(1, 512, 8, 1, 5, 1e9), memory=1 * GIB, gpus=(5 * GIB,))


@given(
    st.sampled_from(["direct", "critique", "votes"]),
    st.one_of(st.none(), st.integers(256, 32_768)),
    st.one_of(st.none(), st.integers(1, 251)),
    st.sampled_from(["f16", "q8_0"]),
    st.builds(model, st.integers(1, 80), st.sampled_from([512, 4096]), st.sampled_from([8, 64]),
              st.sampled_from([1, 8]), st.sampled_from([0.1, 5, 20]), st.just(1e9)),
    st.integers(1, 64),
    st.lists(st.integers(1, 24), max_size=2),
    st.booleans(),
)  # fmt: skip
def test_every_layout_holds_an_ask_and_all_its_sequences_and_fits(
    work: str, ctx: int | None, slots: int | None, kv: str, header: Header, gib: int, gpus: list[int], even: bool
) -> None:
    options = EngineOptions(work=work, ctx=ctx, slots=slots, kv_type=kv, deterministic=even)  # type: ignore[arg-type]
    try:
        layout = choose(options, header, memory=gib * GIB, gpus=tuple(gpu * GIB for gpu in gpus))
    except ModelError:
        return
    context = layout.context
    layers = layout.gpu_layers if layout.gpu_layers >= 0 else header.metadata["llama.block_count"] + 1  # type: ignore[operator]
    on_device = device_bytes(header, layers, layout.plan)
    assert on_device <= max(sum(gpus) - len(gpus), 0) * GIB
    assert layout.plan.total_bytes - on_device <= gib * GIB
    assert gpus or layout.gpu_layers == 0
    assert context.outputs >= context.sequences
    assert context.sequences == layout.slots + EXTRA_SEQUENCES <= MAX_SEQUENCES
    held = context.cells if context.unified else context.cells // context.sequences
    assert held >= layout.ctx
    assert ctx is None or layout.ctx == ctx
    assert slots is None or layout.slots == max(slots, 2 if even else 1)


def test_a_model_that_fits_the_gpu_goes_there_whole() -> None:
    layout = choose(EngineOptions(), QWEN3_8B, memory=4 * GIB, gpus=(24 * GIB,))
    assert layout.gpu_layers == -1
    assert layout.context.flash
    assert layout.context.unified


def test_a_model_too_large_for_the_gpu_goes_there_in_part() -> None:
    layout = choose(EngineOptions(), QWEN3_8B, memory=16 * GIB, gpus=(8 * GIB,))
    assert 10 < layout.gpu_layers < 37
    none = choose(EngineOptions(), QWEN3_8B, memory=32 * GIB, gpus=(GIB,))
    assert none.gpu_layers == 0, "a gigabyte is kept free on each GPU"


def test_two_gpus_hold_more_than_one_unless_the_split_says_one() -> None:
    two = (6 * GIB, 6 * GIB)
    together = choose(EngineOptions(), QWEN3_8B, memory=16 * GIB, gpus=two)
    alone = choose(EngineOptions(gpu_split="none"), QWEN3_8B, memory=16 * GIB, gpus=two)
    assert alone.gpu_layers < together.gpu_layers or together.gpu_layers == -1 != alone.gpu_layers


def test_layers_that_were_asked_for_are_taken_or_refused() -> None:
    def layout(layers: int) -> Layout:
        return choose(EngineOptions(gpu_layers=layers), QWEN3_8B, memory=16 * GIB, gpus=(8 * GIB,))

    assert layout(0).gpu_layers == 0
    assert layout(5).gpu_layers == 5
    for too_many in (36, -1):
        with pytest.raises(ModelError, match=r"8\.59 GB on GPU0"):
            layout(too_many)


def test_a_gpu_that_shares_the_memory_adds_none() -> None:
    shared = Device("iGPU", "integrated", 12 * GIB, 12 * GIB, True)
    layout = choose_layout(EngineOptions(), QWEN3_8B, Room(16 * GIB, [shared]))
    assert layout.gpu_layers != 0
    assert layout.plan.total_bytes <= 16 * GIB
    with pytest.raises(ModelError):
        choose_layout(EngineOptions(), QWEN3_8B, Room(8 * GIB, [shared]))
