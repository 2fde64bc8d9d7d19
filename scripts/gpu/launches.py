"""Counts the operations of a denoising step that would launch a kernel on a GPU, without a GPU."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from gpu.setup import Row, Setup
from worldplay.model.config import CHUNK_LATENTS, TransformerConfig
from worldplay.model.kv_cache import TextKV
from worldplay.model.transformer import WorldPlayTransformer

META = torch.device("meta")  # its tensors have no content; the code takes the same path as on a GPU
TEXT_TOKENS = 8
COUNTED_BLOCKS = 3

# These launch one kernel each on a GPU, though PyTorch could take them apart.
ATTENTION = "scaled_dot_product_attention"
WHOLE = {"linear", "layer_norm", "rms_norm", ATTENTION}
VIEWS = {"_unsafe_view"}  # which do not say so
ALLOCATIONS = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"}


class LaunchCounter(TorchDispatchMode):
    """Counts operations that are neither views nor allocations, by name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # of torch's private module
        self.launches: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.launches.total()

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name not in WHOLE and func._can_decompose():
            with self:
                return func.decompose(*args, **kwargs)
        if name in WHOLE or not (func.is_view or name in VIEWS | ALLOCATIONS):
            self.launches[name] += 1
        if name == ATTENTION:  # a GPU's kernels return their output as the queries lie, without content alike
            return torch.empty_like(args[0])
        return func(*args, **kwargs)


def count_step(config: TransformerConfig, context: int, dtype: torch.dtype = torch.bfloat16) -> Counter[str]:
    """Count a chunk's second denoising step: the first also prepares what the steps share."""
    counter = LaunchCounter()
    with torch.inference_mode():
        step = _prepare(config, context, dtype)
        step()
        with counter:
            step()
    return counter.launches


def _prepare(config: TransformerConfig, context: int, dtype: torch.dtype) -> Callable[[], object]:
    grid = tuple(2 * side for side in config.patch_size)
    with META:
        model = WorldPlayTransformer(config).to(dtype).eval()
    model.pack()
    cache = model.new_cache((grid[0], grid[1]), TEXT_TOKENS, context)
    text = torch.empty(1, config.heads, TEXT_TOKENS, config.head_dim, device=META, dtype=dtype)
    cache.set_text(TextKV([text] * config.blocks, [text] * config.blocks))
    cache.commit_context(context)
    latents, cond = (
        torch.empty(1, channels, CHUNK_LATENTS, *grid, device=META, dtype=dtype)
        for channels in (config.latent_channels, config.latent_channels + 1)
    )
    poses = torch.empty(1, CHUNK_LATENTS, 4, 4), torch.empty(1, CHUNK_LATENTS, 3, 3)
    cameras = model.prepare_cameras(*poses)
    actions = torch.zeros(CHUNK_LATENTS, dtype=torch.long, device=META)

    def step() -> object:
        return model.denoise(latents, cond, cameras, actions, 625.0, cache)

    return step


def count_per_block(
    config: TransformerConfig, context: int, dtype: torch.dtype = torch.bfloat16
) -> Counter[str]:
    """Count what one more block adds to a denoising step."""
    fewer, more = (
        count_step(replace(config, blocks=blocks), context, dtype)
        for blocks in (COUNTED_BLOCKS - 1, COUNTED_BLOCKS)
    )
    return more - fewer


def measure_launches(setup: Setup) -> list[Row]:
    """Count the launches of a step, in all and for each block."""
    config = setup.scale.transformer
    per_block = count_per_block(config, setup.most_context, setup.dtype)
    step = count_step(replace(config, blocks=COUNTED_BLOCKS), setup.most_context, setup.dtype)
    rest = step.total() - COUNTED_BLOCKS * per_block.total()
    rows: list[Row] = [{"what": name, "per block and step": count} for name, count in per_block.most_common()]
    whole = rest + config.blocks * per_block.total()
    return [*rows, {"what": "all", "per block and step": per_block.total(), "per step": whole}]
