"""How the cache is laid out: from the model, the memory and the kind of work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fare_cli.engine.admission import EXTRA_SEQUENCES
from fare_cli.engine.native import MAX_SEQUENCES
from fare_cli.engine.options import EngineOptions
from fare_cli.engine.sizing import Layout, choose_layout
from fare_cli.errors import UsageError

GIB = 1 << 30
SMOLLM2 = 23_040
QWEN3_8B = 144 * 1024


def choose(options: EngineOptions, *, kv: int = SMOLLM2, memory: int = 16 * GIB, train: int = 32_768) -> Layout:
    return choose_layout(options, context_train=train, kv_bytes_per_token=kv, memory_bytes=memory, offloaded=False)


def test_a_context_the_model_was_not_trained_for_is_refused() -> None:
    with pytest.raises(UsageError, match="8192"):
        choose(EngineOptions(ctx=10_000), train=8192)


@pytest.mark.parametrize("slots", [0, 257])
def test_impossible_slots_are_refused(slots: int) -> None:
    with pytest.raises(UsageError, match="--slots"):
        choose(EngineOptions(slots=slots))


def test_an_8b_model_on_a_small_laptop_gets_a_shared_cache() -> None:
    layout = choose(EngineOptions(work="critique"), kv=QWEN3_8B, memory=8 * GIB)
    assert layout.context.unified
    assert layout.context.cells * QWEN3_8B <= 8 * GIB


def test_a_cache_that_no_memory_can_hold_is_refused_before_it_is_made() -> None:
    with pytest.raises(UsageError, match="GB"):
        choose(EngineOptions(ctx=131_072, slots=1), kv=QWEN3_8B, memory=16 * GIB, train=131_072)


def test_a_chosen_context_has_room_for_the_reply() -> None:
    assert choose(EngineOptions(reply_tokens=3000)).ctx == choose(EngineOptions()).ctx + 3000


@pytest.mark.parametrize(("ctx", "train"), [(2048, 32_768), (None, 2048)], ids=["asked for", "the model's"])
def test_a_context_that_replies_alone_would_fill_is_refused(ctx: int | None, train: int) -> None:
    with pytest.raises(UsageError, match="3000"):
        choose(EngineOptions(ctx=ctx, reply_tokens=3000), train=train)


def test_votes_share_cells_without_flash_attention() -> None:
    layout = choose(EngineOptions(work="votes"))
    assert layout.context.unified
    assert not layout.context.flash


def test_critiques_go_without_flash_attention_and_direct_judgments_with_it() -> None:
    assert not choose(EngineOptions(work="critique")).context.flash
    assert choose(EngineOptions(work="critique", ctx=16_384)).context.flash
    assert choose(EngineOptions(work="direct")).context.flash


def test_deterministic_runs_keep_every_slot_in_its_own_stream() -> None:
    layout = choose(EngineOptions(deterministic=True, slots=1))
    assert layout.even
    assert not layout.context.unified
    assert layout.slots == 2


@given(
    st.sampled_from(["direct", "critique", "votes"]),
    st.one_of(st.none(), st.integers(256, 32_768)),
    st.one_of(st.none(), st.integers(1, 64)),
    st.integers(10_000, 400_000),
    st.integers(1, 256),
    st.booleans(),
)
def test_every_layout_holds_an_ask_and_all_its_sequences(
    work: str, ctx: int | None, slots: int | None, kv: int, gib: int, deterministic: bool
) -> None:
    options = EngineOptions(work=work, ctx=ctx, slots=slots, deterministic=deterministic)  # type: ignore[arg-type]
    try:
        layout = choose(options, kv=kv, memory=gib * GIB)
    except UsageError:
        return
    context = layout.context
    assert context.cells * kv <= gib * GIB
    assert context.sequences == layout.slots + EXTRA_SEQUENCES <= MAX_SEQUENCES
    held = context.cells if context.unified else context.cells // context.sequences
    assert held >= layout.ctx
    assert ctx is None or layout.ctx == ctx
    assert slots is None or layout.slots == max(slots, 2 if deterministic else 1)
