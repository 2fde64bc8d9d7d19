"""Sets the attention backend of a loaded world: the one asked for, or the fastest at its shapes."""

import logging
from collections.abc import Iterator
from functools import partial

import torch

from worldplay.model.attention import KERNELS, MATMUL, SDPA
from worldplay.model.attention_choice import EIGHT_BIT_ERROR, Measured, Use, choose, find_problem, measure
from worldplay.world.attention_packages import list_attention_packages
from worldplay.world.device import synchronize
from worldplay.world.pace import AUTO
from worldplay.world.world import World

logger = logging.getLogger(__name__)

# Scores in one denoising step of a CPU that takes seconds for them; such a model is not served on a CPU.
_MOST_CPU_SCORES = 2**26
# Backends that keep all scores at once, twice in float32: 64 GB for a step at 480x832.
_WITH_ALL_SCORES, _SCORE_BYTES = {"sdpa-math"}, 8
_SHARE_OF_SCORES = 0.1  # of a GPU's free memory


@torch.inference_mode()
def set_attention(world: World, backend: str, *, eight_bits: bool = False) -> World:
    """Let a world's transformer use a backend; AUTO: the fastest of those that are exact here.

    Args: eight_bits: backends that compute in 8 bits are good enough, too.
    Raises: ValueError if a backend that was asked for does not work here.
    """
    model = world.rollout.transformer
    largest_error = EIGHT_BIT_ERROR if eight_bits else None
    if backend != AUTO:
        shape = (3, 1, 2 * model.config.heads, 64, model.config.head_dim)
        q, k, v = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(model.device, model.dtype)
        if problem := find_problem(backend, (q, k, v), largest_error):
            raise ValueError(f"attention {backend!r} cannot be used here: {problem}; take --attention auto")
        model.use_attention(backend)
    elif world.rollout.caches:
        model.use_attention(_find_fastest(world, largest_error))
    return world


def _find_fastest(world: World, largest_error: float | None) -> str:
    uses = list(_make_uses(world))
    device = world.device
    scores = max(q.shape[1] * q.shape[2] * k.shape[2] for (q, k, _), _ in uses)
    if device.type == "cpu" and scores > _MOST_CPU_SCORES:
        return SDPA
    candidates = _list_candidates(device)
    if (
        device.type == "cuda"
        and _SCORE_BYTES * scores > _SHARE_OF_SCORES * torch.cuda.mem_get_info(device)[0]
    ):
        candidates = [name for name in candidates if name not in _WITH_ALL_SCORES]
    measured: list[Measured] = [
        measure(backend, uses, partial(synchronize, device), largest_error) for backend in candidates
    ]
    found = [f"{each.backend} {each.problem or f'{each.ms:.2f} ms'}" for each in measured]
    chosen = choose(measured)
    logger.info("attention by %s (%s)", chosen, ", ".join(found))
    return chosen


def _list_candidates(device: torch.device) -> list[str]:
    """List the backends that are installed and may be the fastest on a device."""
    return [SDPA, MATMUL] if device.type == "cpu" else [SDPA, *KERNELS, *list_attention_packages()]


def _make_uses(world: World) -> Iterator[Use]:
    """Make random inputs of a chunk's denoising steps and context pass, in the cache's own buffers.

    The second ones overwrite the first, which are random all the same.
    """
    config, cache = world.rollout.config, world.rollout.caches[-1]
    yield cache.make_inputs(config.chunk_latents), config.steps
    yield cache.make_inputs(config.memory_latents), 1
