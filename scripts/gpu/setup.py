"""The setup of a measurement: model, size, device; and how it measures time."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import Tensor

from worldplay.model.config import (
    CHUNK_LATENTS,
    RELEASED_TRANSFORMER,
    RELEASED_VAE,
    TransformerConfig,
    VAEConfig,
)
from worldplay.model.kv_cache import TextKV
from worldplay.model.prope import Cameras
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.world.device import choose_dtype, synchronize
from worldplay.world.released.random_weights import build_random_world
from worldplay.world.released.variants import DEFAULT_VARIANT, VARIANTS
from worldplay.world.world import World

Row = dict[str, str | float | int]
Arguments = tuple[Tensor, Tensor, Cameras, Tensor]

CONTEXTS = (0, 4, 8, 12, 16, 20)
TEXT_TOKENS = 880


class NeedsCudaError(Exception):
    """The measurement needs a GPU."""


class FoundFaultError(Exception):
    """The measurement was carried out, and found a fault; the message says which."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a measurement found, or why it found no more."""

    name: str
    size: str
    status: str  # ok, failed (also if a fault was found), needs CUDA, too few GPUs, out of time; "" meanwhile
    seconds: float
    rows: list[Row] = field(default_factory=list)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the models and pictures are."""

    transformer: TransformerConfig
    vae: VAEConfig
    sizes: tuple[tuple[int, int], ...]  # (height, width)
    contexts: tuple[int, ...]
    gemm_side: int
    repeats: int
    chunks: int
    compiler: str  # torch.compile's backend
    profiled_blocks: int
    walk_s: float  # for each of two walks


RELEASED = Scale(
    transformer=RELEASED_TRANSFORMER,
    vae=RELEASED_VAE,
    sizes=((480, 832), (352, 640), (240, 416)),
    contexts=CONTEXTS,
    gemm_side=8192,
    repeats=2,
    chunks=2,
    compiler="inductor",
    profiled_blocks=4,
    walk_s=6.0,
)
MINIATURE = Scale(
    transformer=TransformerConfig(32, 2, (4, 6, 6), 2, 4, (1, 1), 2.0, 6, 5, 7, 8, 1, 256.0),
    vae=VAEConfig(1, 4, (8, 8, 8), 1, (8, 8, 8), 1, 4, 4, 1.0),
    sizes=((16, 24),),
    contexts=(0, 4),
    gemm_side=64,
    repeats=1,
    chunks=1,
    compiler="eager",  # only the graphs are checked; generating code takes too long
    profiled_blocks=2,
    walk_s=2.0,
)


@dataclass(frozen=True, slots=True)
class Setup:
    """The setup of one measurement."""

    scale: Scale
    size: tuple[int, int]
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        return choose_dtype(self.device)

    @property
    def grid(self) -> tuple[int, int]:
        return self.scale.vae.grid(self.size)

    @property
    def tokens(self) -> int:
        """Return the tokens per latent."""
        return self.grid[0] * self.grid[1] // self.scale.transformer.patch_area

    @property
    def most_context(self) -> int:
        return self.scale.contexts[-1]

    def need_cuda(self) -> None:
        """Raises: NeedsCudaError."""
        if self.device.type != "cuda":
            raise NeedsCudaError

    def build(self, transformer: TransformerConfig | None = None) -> World:
        config = VARIANTS[DEFAULT_VARIANT].rollout()
        shape = transformer or self.scale.transformer
        return build_random_world(shape, self.scale.vae, config, self.size, self.device)

    def median_ms(self, function: Callable[[], object]) -> float:
        """Time a function, after one run for warm-up."""
        function()
        return statistics.median(self.time_ms(function) for _ in range(self.scale.repeats))

    def time_ms(self, function: Callable[[], object]) -> float:
        synchronize(self.device)
        began = perf_counter()
        function()
        synchronize(self.device)
        return (perf_counter() - began) * 1000.0


def make_arguments(setup: Setup, world: World, num_latents: int) -> Arguments:
    """Make latents, condition, cameras and actions of a pass."""
    model = world.rollout.transformer
    random = torch.Generator().manual_seed(0)
    channels = model.config.latent_channels
    latents, cond = (
        torch.randn(1, c, num_latents, *setup.grid, generator=random).to(setup.device, setup.dtype)
        for c in (channels, channels + 1)
    )
    viewmats = torch.eye(4).repeat(1, num_latents, 1, 1)
    viewmats[0, :, 2, 3] = torch.arange(num_latents) * -0.08
    intrinsics = torch.tensor([0.5, 0.9, 1.0]).diag().repeat(1, num_latents, 1, 1)
    actions = torch.full((num_latents,), 9, device=setup.device)
    return latents, cond, model.prepare_cameras(viewmats, intrinsics), actions


def make_timestep(setup: Setup) -> Tensor:
    return torch.full((CHUNK_LATENTS,), 625.0, device=setup.device)


def make_text(setup: Setup, model: WorldPlayTransformer, tokens: int) -> TextKV:
    """Make a random text of so many tokens, the same in all blocks."""
    config = model.config
    states = torch.randn(1, config.heads, tokens, config.head_dim).to(setup.device, setup.dtype)
    return TextKV([states] * config.blocks, [states] * config.blocks)
