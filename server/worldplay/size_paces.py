"""Lists the published sizes: how many sessions have room in memory, and what a chunk takes."""

from collections.abc import Callable, Iterator

from worldplay.settings import ModelSettings
from worldplay.world.pace import Pace
from worldplay.world.released.files import find_root
from worldplay.world.released.memory_estimate import estimate_memory
from worldplay.world.released.offload_plan import count_room
from worldplay.world.released.sizes import SIZES, SizePace
from worldplay.world.released.variants import find_variant
from worldplay.world.tier import TIERS, uses_tiny_decoder


def list_paces(
    settings: ModelSettings, budget: int, find_seconds: Callable[[tuple[int, int]], float | None]
) -> Iterator[SizePace]:
    """Yield the pace of each size, the largest first.

    Args:
        budget: bytes of the GPU's memory.
        find_seconds: returns what a chunk takes; None if it is not known.
    """
    variant, tier = find_variant(settings.variant), TIERS[settings.tier]
    is_tiny = uses_tiny_decoder(settings.tier, find_root(settings.model, settings.weights_dir))
    for size in SIZES:
        needed = estimate_memory(variant, size, ranks=settings.gpus, tiny_decoder=is_tiny)
        context = variant.rollout().memory_latents if tier.keeps_context else None
        room = count_room(needed, budget, context)
        seconds = find_seconds(size) if room else None
        pace = None if seconds is None else Pace(seconds, variant.chunk_latents)
        yield SizePace(size, pace, room, settings.tier)
