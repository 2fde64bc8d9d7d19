"""Measures what torch.compile gains per block, without the cache and the attention kernel."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from einops import rearrange
from torch import Tensor

from gpu.setup import Row, Setup, make_arguments, make_timestep
from worldplay.model import blocks, rope, tokens
from worldplay.model.attention import attend
from worldplay.model.blocks import DoubleStreamBlock, Modulation, modulated_norm
from worldplay.model.config import CHUNK_LATENTS
from worldplay.model.kv_cache import Cache
from worldplay.model.prope import Cameras
from worldplay.model.tokens import Branches, ImageKV, Placement, heads_first

Rotate = Callable[[Tensor, Tensor], Tensor]
Forward = Callable[[DoubleStreamBlock, Tensor, Tensor, Placement, Cache], Tensor]


@dataclass(frozen=True, slots=True)
class _Derived(ImageKV):
    """Keys and values whose branches a compiled graph has already computed."""

    derived: tuple[Branches, Branches]

    def branches(self) -> tuple[Branches, Branches]:
        return self.derived


def _before(
    block: DoubleStreamBlock, x: Tensor, vec: Tensor, place: Placement
) -> tuple[Modulation, Tensor, ImageKV, tuple[Branches, Branches]]:
    mod = block.img_mod(vec)
    y = modulated_norm(x, mod.shift1, mod.scale1)
    own = block.image_keys_values(y, place)
    return mod, torch.cat(block.image_queries(y, place)), own, own.branches()


def _after(
    block: DoubleStreamBlock, x: Tensor, attended: Tensor, mod: Modulation, cameras: Cameras
) -> Tensor:
    x = torch.addcmul(x, mod.gate1, block.image_output(attended, cameras))
    return block.image_mlp(x, mod)


def compile_forward(compiler: str) -> Forward:
    """Compile a block's forward to two graphs. All blocks share them: only their parameters differ."""
    before = torch.compile(_before, fullgraph=True, dynamic=False, backend=compiler)
    after = torch.compile(_after, fullgraph=True, dynamic=False, backend=compiler)

    def forward(block: DoubleStreamBlock, x: Tensor, vec: Tensor, place: Placement, cache: Cache) -> Tensor:
        mod, queries, own, derived = before(block, x, vec, place)
        ready = _Derived(own.keys, own.values, own.place, derived)
        keys, values = cache.extend(block.index, ready)
        attended = attend(heads_first(queries), keys, values, block.backend)
        return after(block, x, attended, mod, place.cameras)

    return forward


@contextmanager
def using(forward: Forward | None, rotate: Rotate) -> Iterator[None]:
    """Replace the forward and the rotation of every block while this context is open."""
    plain = DoubleStreamBlock.forward
    if forward is not None:
        DoubleStreamBlock.forward = forward  # type: ignore[method-assign, assignment] # for a while
    vars(blocks)["rotate"] = vars(tokens)["rotate"] = rotate
    try:
        yield
    finally:
        DoubleStreamBlock.forward = plain  # type: ignore[method-assign]
        vars(blocks)["rotate"] = vars(tokens)["rotate"] = rope.rotate


def rotate_pairs(x: Tensor, table: Tensor) -> Tensor:
    """Rotate as rope.rotate, but without complex numbers, for which the compiler generates no code."""
    cos, sin = (part[:, :, None] for part in torch.view_as_real(table).unbind(-1))
    even, odd = rearrange(x.float(), "... (pairs two) -> two ... pairs", two=2)
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2).to(x.dtype)


ROTATIONS: dict[str, Rotate] = {"complex": rope.rotate, "real": rotate_pairs}


@torch.inference_mode()
def measure_compile(setup: Setup) -> list[Row]:
    """Time a few blocks, with and without compiling, in a denoising step and in the context pass."""
    world = setup.build(replace(setup.scale.transformer, blocks=setup.scale.compiled_blocks))
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    context = make_arguments(setup, world, setup.most_context)
    chunk, timestep = make_arguments(setup, world, CHUNK_LATENTS), make_timestep(setup)

    def encode() -> None:
        model.encode_context(*context, cache)

    def denoise() -> Tensor:
        return model.denoise(*chunk, timestep, cache)

    ways = [(name, how, way) for name, how in ROTATIONS.items() for way in ("eager", "compiled")]
    rows: list[Row] = []
    for name, rotate, way in ways:
        forward = compile_forward(setup.scale.compiler) if way == "compiled" else None
        with using(forward, rotate):
            first_ms = setup.time_ms(encode) + setup.time_ms(denoise)
            row: Row = {"way": way, "rotation": name, "blocks": model.config.blocks}
            row |= {"first run s": first_ms / 1000, "step ms": setup.median_ms(denoise)}
            rows.append(row | {"context ms": setup.median_ms(encode)})
    return rows
