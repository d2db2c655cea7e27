"""How large the cache is, how it is laid out and what goes to a GPU: from the model, the machine and the kind of work.

Everything is decided from the header of the model, before any weights are read: what is chosen here fits by the plan
of `fare_cli.gguf.memory`, and what was asked for and does not fit is refused with what would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fare_cli.engine.devices import Device, find_devices
from fare_cli.engine.options import ContextParams, EngineOptions
from fare_cli.engine.sequences import EXTRA_SEQUENCES, MAX_SEQUENCES
from fare_cli.engine.tuning import Tuned
from fare_cli.errors import ModelError, UsageError
from fare_cli.gguf.header import Header
from fare_cli.gguf.memory import (
    CELLS_STEP,
    DEVICE_MARGIN_BYTES,
    QUANTISED_BITS,
    MemoryPlan,
    device_bytes,
    layer_count,
    layers_that_fit,
    plan,
)
from fare_cli.gguf.split import read_model
from fare_cli.machine import memory, usable_cores

#: Tokens of the largest prompt piece, and rows of the largest decode.
BATCH_TOKENS = 512

#: Rows of one decode whose logits can be asked for, where sequences do not need more.
OUTPUT_ROWS = 64

#: Asks served side by side when nothing was said.
SLOTS = 12

#: Share of the memory beside the weights which the cache and the work space may take when nothing was said.
MEMORY_SHARE = 0.4

#: Tokens of a prompt that fit when nothing was said.
PROMPT_TOKENS = 4096

#: Fewest tokens of an ask.
SHORTEST_CTX = 256

#: Up to this many tokens an ask, generating on a CPU goes without flash attention: at depth 800 a step of 12 slots
#: took 75 ms without and 144 ms with it, though prompts are 10 to 40% faster with it. Beyond, the attention scores of
#: a prompt piece take too much memory.
NO_FLASH_CTX = 8192

#: Most cells of a unified cache without flash attention: 512 rows of 32 heads take 1 GiB of scores.
NO_FLASH_CELLS = 16_384

#: Weights whose quantisation would save less than this are not worth another file.
_WORTH_SAVING = 0.95


class Room(NamedTuple):
    """What the machine has: bytes of main memory, and its GPUs."""

    memory_bytes: int
    devices: Sequence[Device] = ()

    def device_bytes(self, options: EngineOptions) -> int:
        """What weights and cache may take on the GPUs in use. llama.cpp and its drivers need the margin on each."""
        used = self.devices[:1] if options.gpu_split == "none" else self.devices
        free = sum(max(device.free_bytes - DEVICE_MARGIN_BYTES, 0) for device in used)
        return min(free, self.memory_bytes) if self._shared(used) else free

    def total_bytes(self, options: EngineOptions) -> int:
        """Main memory and GPUs together; a GPU that shares the main memory adds nothing."""
        return self.memory_bytes + (0 if self._shared(self.devices) else self.device_bytes(options))

    @staticmethod
    def _shared(devices: Sequence[Device]) -> bool:
        return any(device.shares_memory for device in devices)


@dataclass(frozen=True, slots=True)
class Layout:
    """A context, how many of its sequences generate, and the most tokens that one ask may hold; the layers that go to
    the GPU (-1 is all of them), and what the whole takes."""

    context: ContextParams
    slots: int
    ctx: int
    even: bool
    gpu_layers: int
    plan: MemoryPlan


def room_now(options: EngineOptions) -> Room:
    """What this machine has free now; its GPUs are left out where the options do without them."""
    return Room(memory().available_bytes, find_devices() if options.gpu_layers != 0 else ())


def choose_layout(options: EngineOptions, header: Header, room: Room, *, name: str = "the model") -> Layout:
    """The layout for a model with this header in so much room; errors are those of `layout_for`."""
    layout = _fitting(options, header, room)
    if layout is not None:
        return layout
    smallest = _arrange(options, header, 0, offloaded=_offloads(options, room))
    advice = what_fits(options, header, room)
    raise ModelError(
        f"{name} does not fit: it takes {smallest.plan.describe()}, and {_described(room)} free",
        f"what would fit: {'; '.join(advice)}" if advice else "use a smaller model; no setting makes this one fit",
    )


class TunedLayout(NamedTuple):
    """A layout, the tuned settings in it, and why some were left out, if they were."""

    layout: Layout
    tuned: Tuned = Tuned()
    dropped: str | None = None


def layout_for(path: Path, options: EngineOptions, tuned: Tuned) -> TunedLayout:
    """The layout for a model file on this machine as it is now, with tuned settings where the options leave something
    open.

    Raises ModelError for a model that does not fit, with what would, and for a file that is no model; UsageError for
    sizes that no machine could have.
    """
    return choose_tuned_layout(options, tuned, read_model(path), room_now(options), name=str(path))


def choose_tuned_layout(options: EngineOptions, tuned: Tuned, header: Header, room: Room, *, name: str) -> TunedLayout:
    """Like `choose_layout`, with tuned settings where the options leave something open.

    They take no more memory than is meant for cache and work space, and no room from layers on a GPU: where less is
    free than when they were measured, those that decide on memory are left out.
    """
    plain = choose_layout(options, header, room, name=name)
    usable = tuned.usable(options)
    if not usable.given():
        return TunedLayout(plain)
    try:
        layout = choose_layout(usable.over(options), header, room, name=name)
    except (ModelError, UsageError) as error:
        dropped = error.message
    else:
        if layout.ctx > NO_FLASH_CTX and not layout.context.flash and plain.context.flash:
            dropped = f"they were not measured with {layout.ctx} tokens an ask"
        elif layout.gpu_layers != plain.gpu_layers or not _is_modest(layout, plain, options, room):
            dropped = f"with them the model takes {layout.plan.describe()}, more than is meant for it now"
        else:
            return TunedLayout(layout, usable)
    light = usable.without_memory()
    return TunedLayout(choose_layout(light.over(options), header, room, name=name), light, dropped)


def _is_modest(layout: Layout, plain: Layout, options: EngineOptions, room: Room) -> bool:
    """Whether a layout takes no more than the plain one, or leaves to others what was not asked for."""
    room_bytes = room.memory_bytes
    if _offloads(options, room):
        room_bytes = room.device_bytes(options) if layout.gpu_layers == -1 else room.total_bytes(options)
    beside = layout.plan.total_bytes - layout.plan.weights_bytes
    meant = MEMORY_SHARE * (room_bytes - layout.plan.weights_bytes)
    return layout.plan.total_bytes <= plain.plan.total_bytes or beside <= meant


def what_fits(options: EngineOptions, header: Header, room: Room) -> list[str]:
    """Changes to options that do not fit, each of which alone would make the model fit: fewer slots, a shorter context,
    a smaller cache type, another quantisation; if none does, all that make the cache smaller together."""

    def fits(changed: EngineOptions, changed_header: Header = header) -> bool:
        return _fitting(changed, changed_header, room) is not None

    asked = _arrange(options, header, 0, offloaded=_offloads(options, room))
    found = []
    slots = _most(asked.slots - 1, 1, lambda count: fits(replace(options, slots=count)))
    if slots:
        found.append(f"--slots {slots}")
    ctx = _most(asked.ctx - 1, CELLS_STEP, lambda tokens: fits(replace(options, ctx=tokens)))
    if ctx:
        found.append(f"--ctx {ctx}")
    small = replace(options, kv_type="q8_0", flash=None)
    if options.kv_type != "q8_0" and fits(small):
        found.append("--kv-type q8_0")
    found += _other_quantisation(header, lambda smaller: fits(options, smaller))
    if not found:
        together = replace(small, slots=1)
        ctx = _most(asked.ctx - 1, CELLS_STEP, lambda tokens: fits(replace(together, ctx=tokens)))
        if ctx:
            found.append(f"--slots 1 --ctx {ctx} --kv-type q8_0")
    return found


def _most(upper: int, step: int, fits: Callable[[int], bool]) -> int:
    """The largest multiple of `step` up to `upper` that fits, by halving, since what is less fits, too; 0 if none."""
    low, high = 0, upper // step
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * step):
            low = middle
        else:
            high = middle - 1
    return low * step


def _other_quantisation(header: Header, fits: Callable[[Header], bool]) -> list[str]:
    """The best smaller quantisation whose weights would fit. An estimate: the mixes depend on a model's widths."""
    weights = sum(tensor.bytes for tensor in header.tensors)
    for kind, bits in QUANTISED_BITS.items():
        ratio = header.parameters * bits / 8 / max(weights, 1)
        smaller = tuple(tensor._replace(bytes=int(tensor.bytes * ratio)) for tensor in header.tensors)
        if ratio < _WORTH_SAVING and fits(replace(header, tensors=smaller)):
            return [f"the same model in {kind} (about {weights * ratio / 1e9:.1f} GB)"]
    return []


def _fitting(options: EngineOptions, header: Header, room: Room) -> Layout | None:
    """The layout that is best where it fits; None if what was asked for does not fit."""
    if not _offloads(options, room):
        layout = _arrange(options, header, room.memory_bytes, offloaded=False)
        return layout if layout.plan.total_bytes <= room.memory_bytes else None
    all_layers = layer_count(header) + 1
    on_device = room.device_bytes(options)
    if options.gpu_layers is None or not 0 <= options.gpu_layers < all_layers:
        layout = _arrange(options, header, on_device, offloaded=True)
        if _has_room(layout, header, all_layers, options, room):
            return replace(layout, gpu_layers=-1)
        if options.gpu_layers is not None:
            return None
    layout = _arrange(options, header, room.total_bytes(options), offloaded=True)
    layers = options.gpu_layers
    if layers is None:
        layers = layers_that_fit(header, layout.plan, on_device)
    return replace(layout, gpu_layers=layers) if _has_room(layout, header, layers, options, room) else None


def _has_room(layout: Layout, header: Header, layers: int, options: EngineOptions, room: Room) -> bool:
    """Whether so many layers fit on the GPUs, and the rest in main memory: the token embeddings always stay there."""
    taken = device_bytes(header, layers, layout.plan)
    shared = room.total_bytes(options) == room.memory_bytes
    rest = layout.plan.total_bytes - (0 if shared else taken)
    return taken <= room.device_bytes(options) and rest <= room.memory_bytes


def _offloads(options: EngineOptions, room: Room) -> bool:
    return bool(room.devices) and options.gpu_layers != 0


def _described(room: Room) -> str:
    parts = [f"{room.memory_bytes / 1e9:.2f} GB of memory"]
    parts += [f"{device.free_bytes / 1e9:.2f} GB on {device.name}" for device in room.devices]
    return f"{' and '.join(parts)} {'is' if len(parts) == 1 else 'are'}"


def _arrange(options: EngineOptions, header: Header, room_bytes: int, *, offloaded: bool) -> Layout:
    """The layout that makes good use of so much room; the smallest there is, where even that does not fit."""
    ctx = _context_length(options, header)
    if options.slots is not None and not 1 <= options.slots <= MAX_SEQUENCES - EXTRA_SEQUENCES:
        most = MAX_SEQUENCES - EXTRA_SEQUENCES
        raise UsageError(f"--slots {options.slots}: llama.cpp has 1 to {most}", "leave it out, and fare chooses")
    # A quantised cache is read by flash attention only.
    flash = options.flash
    if flash is None or options.deterministic or options.kv_type != "f16":
        flash = (
            offloaded
            or options.deterministic
            or options.kv_type != "f16"
            or options.work == "direct"
            or ctx > NO_FLASH_CTX
        )
    choices = _Choices(options, header, ctx, room_bytes, flash=flash)
    if not flash and options.flash is None and not choices.small_enough(choices.unified(choices.fewest_cells)):
        choices = _Choices(options, header, ctx, room_bytes, flash=True)
    streams = options.kv_layout == "streams" or options.deterministic
    if options.kv_layout is None and not streams and not offloaded and options.work == "critique":
        streams = choices.small_enough(choices.streams(choices.slots))
    return choices.best_streams() if streams else choices.best_unified()


class _Choices:
    """The layouts that are open, with what each takes."""

    def __init__(self, options: EngineOptions, header: Header, ctx: int, room_bytes: int, *, flash: bool) -> None:
        self._options = options
        self._header = header
        self._ctx = ctx
        self._flash = flash
        self._room_bytes = room_bytes
        self._per_ask = -(-ctx // CELLS_STEP) * CELLS_STEP
        self.slots = SLOTS if options.slots is None else options.slots
        if options.deterministic:
            self.slots = max(self.slots, 2)
        # A shared beginning and one ask: with less, nothing could ever be served.
        self.fewest_cells = 2 * self._per_ask

    def small_enough(self, layout: Layout) -> bool:
        """Whether a layout leaves to others what was not asked for."""
        beside = layout.plan.total_bytes - layout.plan.weights_bytes
        return beside <= MEMORY_SHARE * (self._room_bytes - layout.plan.weights_bytes)

    def streams(self, slots: int) -> Layout:
        cells = self._per_ask * (slots + EXTRA_SEQUENCES)
        return self._layout(cells, slots, unified=False)

    def unified(self, cells: int) -> Layout:
        return self._layout(cells, self.slots, unified=True)

    def best_streams(self) -> Layout:
        """All slots that were asked for; where nothing was said, as many as are small enough."""
        if self._options.slots is not None:
            return self.streams(self.slots)
        fewest = 2 if self._options.deterministic else 1
        slots = _most(self.slots, 1, lambda count: self.small_enough(self.streams(count)))
        return self.streams(max(slots, fewest))

    def best_unified(self) -> Layout:
        """As many cells as the slots can fill, if they are small enough."""
        # Direct judgments hold their cells only while their prompts are computed.
        asks = min(self.slots, 2) if self._options.work == "direct" else self.slots
        most = self.fewest_cells + self._per_ask * asks
        if not self._flash:
            most = max(min(most, NO_FLASH_CELLS), self.fewest_cells)
        cells = _most(most, CELLS_STEP, lambda cells: self.small_enough(self.unified(cells)))
        return self.unified(max(cells, self.fewest_cells))

    def _layout(self, cells: int, slots: int, *, unified: bool) -> Layout:
        options = self._options
        context = ContextParams(
            cells=cells,
            sequences=slots + EXTRA_SEQUENCES,
            batch=options.batch or BATCH_TOKENS,
            outputs=max(OUTPUT_ROWS, slots + EXTRA_SEQUENCES),
            unified=unified,
            flash=self._flash,
            threads=options.threads or usable_cores(),
            kv_type=options.kv_type,
        )
        return Layout(context, slots, self._ctx, options.deterministic, 0, plan_of(self._header, context))


def plan_of(header: Header, context: ContextParams) -> MemoryPlan:
    """What a model takes in this context."""
    return plan(
        header,
        cells=context.cells,
        sequences=context.sequences,
        batch=context.batch,
        outputs=context.outputs,
        unified=context.unified,
        flash=context.flash,
        kv_type=context.kv_type,
    )


def _context_length(options: EngineOptions, header: Header) -> int:
    trained = header.context_length
    if trained is None or trained < 1:
        raise ModelError("the header of this model does not give its context length", "the file may be damaged")
    ctx = min(trained, PROMPT_TOKENS + options.reply_tokens) if options.ctx is None else options.ctx
    if ctx > trained:
        raise UsageError(
            f"--ctx {ctx}: this model was trained for {trained} tokens",
            f"use --ctx {trained} or less",
        )
    if options.ctx is not None and ctx < SHORTEST_CTX:
        raise UsageError(f"--ctx {ctx}: at least {SHORTEST_CTX}")
    if ctx <= options.reply_tokens:
        more = "" if options.ctx is None else ", or raise --ctx"
        raise UsageError(
            f"a reply alone may take {options.reply_tokens} tokens, and an ask may hold {ctx} (--ctx)",
            f"shorten replies with --max-tokens or --reasoning-tokens{more}",
        )
    return ctx
