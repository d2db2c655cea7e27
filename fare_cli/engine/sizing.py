"""How large the cache is and how it is laid out: from the model, the memory and the kind of work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

from fare_cli.engine.admission import EXTRA_SEQUENCES
from fare_cli.engine.machine import usable_cores
from fare_cli.engine.native import MAX_SEQUENCES, ContextParams
from fare_cli.engine.options import EngineOptions
from fare_cli.engine.tuning import Tuned
from fare_cli.errors import UsageError

#: Tokens of the largest prompt piece, and rows of the largest decode.
BATCH_TOKENS = 512

#: Rows of one decode whose logits can be asked for, where slots do not need more.
OUTPUT_ROWS = 64

#: Asks served side by side when nothing was said.
SLOTS = 12

#: Share of the memory that is free now which the cache may take when nothing was said.
MEMORY_SHARE = 0.4

#: Tokens of a prompt that fit when nothing was said.
PROMPT_TOKENS = 4096

#: Up to this many tokens an ask, generating on a CPU goes without flash attention: at depth 800 a step of 12 slots
#: took 75 ms without and 144 ms with it, though prompts are 10 to 40% faster with it. Beyond, the attention scores of
#: a prompt piece take too much memory.
NO_FLASH_CTX = 8192

#: Most cells of a unified cache without flash attention: 512 rows of 32 heads take 1 GiB of scores.
NO_FLASH_CELLS = 16_384


@dataclass(frozen=True, slots=True)
class Layout:
    """A context, how many of its sequences generate, and the most tokens that one ask may hold."""

    context: ContextParams
    slots: int
    ctx: int
    even: bool


def choose_layout(
    options: EngineOptions, *, context_train: int, kv_bytes_per_token: int, memory_bytes: int, offloaded: bool
) -> Layout:
    """The layout for a model whose cache takes `kv_bytes_per_token`, with `memory_bytes` free.

    Raises UsageError for a context the model was not trained for, and for slots or a context that no memory can hold.
    """
    ctx = _context_length(options, context_train)
    even = options.deterministic
    slots = SLOTS if options.slots is None else options.slots
    if not 1 <= slots <= MAX_SEQUENCES - EXTRA_SEQUENCES:
        raise UsageError(f"--slots {slots}: between 1 and {MAX_SEQUENCES - EXTRA_SEQUENCES}")
    if even:
        slots = max(slots, 2)
    budget = int(memory_bytes * MEMORY_SHARE) // max(kv_bytes_per_token, 1)
    sequences = slots + EXTRA_SEQUENCES
    per_stream = -(-ctx // 256) * 256
    streams = not offloaded and options.work == "critique" and per_stream * sequences <= budget
    if options.kv_layout is not None:
        streams = options.kv_layout == "streams"
    if even and not streams:
        if options.slots is None:
            slots = max(2, min(slots, budget // per_stream - EXTRA_SEQUENCES))
        sequences, streams = slots + EXTRA_SEQUENCES, True
    # A quantised cache is read by flash attention only.
    flash = options.flash
    if flash is None or even or options.kv_type != "f16":
        flash = offloaded or even or options.kv_type != "f16" or options.work == "direct" or ctx > NO_FLASH_CTX
    if streams:
        cells = per_stream * sequences
    else:
        # Direct judgments hold their cells only while their prompts are computed.
        wanted = per_stream * (min(slots, 2) if options.work == "direct" else slots)
        cells = 2 * per_stream + min(
            wanted, max(0, (budget if flash else min(budget, NO_FLASH_CELLS)) - 2 * per_stream)
        )
    if not offloaded and cells * kv_bytes_per_token > memory_bytes:
        raise UsageError(
            f"a cache of {cells:,} tokens takes {cells * kv_bytes_per_token / 1e9:.1f} GB, and "
            f"{memory_bytes / 1e9:.1f} GB of memory are free beside the weights",
            "use a smaller --ctx" + (", fewer --slots or no --deterministic" if streams else ""),
        )
    return Layout(
        ContextParams(
            cells=cells,
            sequences=sequences,
            batch=options.batch or BATCH_TOKENS,
            outputs=max(OUTPUT_ROWS, slots + 1),
            unified=not streams,
            flash=flash,
            threads=options.threads or usable_cores(),
            kv_type=options.kv_type,
        ),
        slots,
        ctx,
        even,
    )


class Machine(TypedDict):
    """What decides on a layout besides the options; the names of `choose_layout`."""

    context_train: int
    kv_bytes_per_token: int
    memory_bytes: int
    offloaded: bool


class TunedLayout(NamedTuple):
    """A layout, the tuned settings in it, and why some were left out, if they were."""

    layout: Layout
    tuned: Tuned
    dropped: str | None = None


def choose_tuned_layout(options: EngineOptions, tuned: Tuned, **machine: Unpack[Machine]) -> TunedLayout:
    """Like `choose_layout`, with tuned settings where the user gave none.

    They take no more memory than is meant for a cache: where less is free than when they were measured, those that
    decide on memory are left out.
    """
    plain = choose_layout(options, **machine)
    usable = tuned.usable(options)
    try:
        layout = choose_layout(usable.over(options), **machine)
    except UsageError as error:
        dropped = error.message
    else:
        taken = layout.context.cells * machine["kv_bytes_per_token"]
        meant = int(machine["memory_bytes"] * MEMORY_SHARE)
        if layout.ctx > NO_FLASH_CTX and not layout.context.flash and plain.context.flash:
            dropped = f"with {layout.ctx} tokens an ask they take too much memory"
        elif machine["offloaded"] or layout.context.cells <= plain.context.cells or taken <= meant:
            return TunedLayout(layout, usable)
        else:
            dropped = f"their cache takes {taken / 1e9:.1f} GB, and {meant / 1e9:.1f} GB are meant for it now"
    light = usable.without_memory()
    return TunedLayout(choose_layout(light.over(options), **machine), light, dropped)


def _context_length(options: EngineOptions, context_train: int) -> int:
    ctx = min(context_train, PROMPT_TOKENS + options.reply_tokens) if options.ctx is None else options.ctx
    if ctx > context_train:
        raise UsageError(
            f"--ctx {ctx}: this model was trained for {context_train} tokens",
            f"use --ctx {context_train} or less",
        )
    if options.ctx is not None and ctx < 256:
        raise UsageError(f"--ctx {ctx}: at least 256")
    if ctx <= options.reply_tokens:
        more = "" if options.ctx is None else ", or raise --ctx"
        raise UsageError(
            f"a reply alone may take {options.reply_tokens} tokens, and an ask may hold {ctx} (--ctx)",
            f"shorten replies with --max-tokens or --reasoning-tokens{more}",
        )
    return ctx


def available_memory() -> int:
    """Bytes of memory that can be taken without swapping; half of all memory where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
