"""Plans which parts of a model stay on the GPU, and checks whether the host can hold the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf

from worldplay.world.memory import available_memory
from worldplay.world.released.memory_estimate import MemoryEstimate, count_other_rank
from worldplay.world.rollout_config import count_kept_latents

MAX_SESSIONS = 100  # more are not counted
RESERVE = 1_000_000_000  # bytes of a GPU for libraries and fragmentation


class OffloadMode(Enum):
    """Where a part is kept that is needed only for a new prompt or image."""

    ON_DEVICE = "on the GPU"
    SWAPPED = "moved to the GPU while used"
    ON_CPU = "computed on the CPU"


@dataclass(frozen=True, slots=True)
class OffloadPlan:
    """Where the parts go, and the most bytes of the GPU that are in use at once."""

    unrotated_caches: bool
    encoders: OffloadMode
    text_stream: OffloadMode
    peak: int
    fits: bool


# The cheapest first: costs some time at a new prompt, then seconds, then time at every denoising step.
_CHOICES = [
    (unrotated_caches, encoders, text_stream)
    for unrotated_caches in (False, True)
    for encoders, text_stream in (
        (OffloadMode.ON_DEVICE, OffloadMode.ON_DEVICE),
        (OffloadMode.SWAPPED, OffloadMode.ON_DEVICE),
        (OffloadMode.SWAPPED, OffloadMode.SWAPPED),
        (OffloadMode.ON_CPU, OffloadMode.ON_DEVICE),
        (OffloadMode.ON_CPU, OffloadMode.SWAPPED),
    )
]


def plan_offload(needed: MemoryEstimate, num_walks: int, budget: int | None) -> OffloadPlan:
    """Keep as much on the GPU as fits into `budget` bytes. If nothing fits, return the smallest plan.

    Args:
        budget: None if memory is not limited.
    """
    plans = list(_list_plans(needed, num_walks, budget))
    return next((plan for plan in plans if plan.fits), plans[-1])


def _list_plans(needed: MemoryEstimate, num_walks: int, budget: int | None) -> Iterator[OffloadPlan]:
    """Yield all plans, the cheapest first."""
    for unrotated_caches, encoders, text_stream in _CHOICES:
        if text_stream is OffloadMode.SWAPPED and not needed.text_is_idle:
            continue
        peak = _count_peak(needed, num_walks, unrotated_caches, encoders, text_stream)
        fits = peak <= (inf if budget is None else budget)
        yield OffloadPlan(unrotated_caches, encoders, text_stream, peak, fits)


def plan_for_sessions(
    needed: MemoryEstimate, sessions: int, clips: int, budget: int | None
) -> tuple[OffloadPlan, int]:
    """Plan for the clips and all sessions, or as many sessions as fit, but at least one if any.

    Returns: the plan, which may not fit, and its number of sessions.
    """
    for count in range(sessions, min(sessions, 1) - 1, -1):
        plan = plan_offload(needed, count + clips, budget)
        if plan.fits:
            break
    return plan, count


def plan_to_keep(
    needed: MemoryEstimate,
    sessions: int,
    clips: int,
    budget: int,
    context: int,
    others: int | None = None,
    host: float = inf,
) -> tuple[OffloadPlan, int] | None:
    """Plan for tiers: so that every walk's context can be kept, for as many sessions as that is possible.

    What only new prompts and pictures need is moved for it, but not computed on the CPU, which takes seconds.

    Args:
        context: latents of a chunk's context.
        others: as in `count_spare`.
        host: bytes of the host's memory.
    Returns: the plan, and its number of sessions; None if context cannot be kept even for one.
    """
    for count in range(sessions, 0, -1):
        for plan in _list_plans(needed, count + clips, budget):
            if plan.unrotated_caches or plan.encoders is OffloadMode.ON_CPU:
                continue
            if count_waiting(plan, needed.encoders, needed.text_stream, 1) > host:
                continue
            spare = count_spare(needed, plan, count + clips, budget, others)
            if count_kept_latents(spare, needed.kept_latent, count + clips, context) >= context:
                return plan, count
    return None


def count_sessions(needed: MemoryEstimate, budget: int) -> int:
    """Count the sessions that fit beside the model and one clip of the HTTP API; 0 if none fits."""
    sessions = 0
    while sessions < MAX_SESSIONS and plan_offload(needed, sessions + 2, budget).fits:
        sessions += 1
    return sessions


def count_room(needed: MemoryEstimate, budget: int, context: int | None) -> int:
    """Count the sessions that `serve` has room for, if as many are allowed.

    Args: context: latents of a chunk's context, if the tier keeps it; else None.
    """
    if context is not None:
        kept = plan_to_keep(needed, MAX_SESSIONS, 1, budget, context, host=available_memory())
        if kept is not None:
            return kept[1]
    return count_sessions(needed, budget)


def count_spare(
    needed: MemoryEstimate, plan: OffloadPlan, walks: int, budget: int, others: int | None = None
) -> int:
    """Count the bytes that a plan leaves on every GPU, with one set of caches.

    Recordings are left out: they take as much as a chunk computes with.

    Args:
        others: the least bytes that another rank may use; None: at least as many as rank 0.
    """
    spare = budget - plan.peak
    if others is not None:
        spare = min(spare, others - count_other_rank(needed, walks, 1, unrotated=plan.unrotated_caches))
    return max(0, spare - needed.working)


def least_of_others(free: Mapping[int, int]) -> int | None:
    """Return the bytes that every other rank may use, by those of their GPUs; None: as many as rank 0."""
    return min(free.values()) - RESERVE if free else None


def count_cache_sets(
    needed: MemoryEstimate, plan: OffloadPlan, walks: int, budget: int, others: int | None = None
) -> int:
    """Count the sets of caches that there is memory for: at most one for each walk, and at least one.

    Args: others: as in `count_spare`.
    """
    one = needed.unrotated_caches if plan.unrotated_caches else needed.caches
    spare = count_spare(needed, plan, walks, budget, others)
    more = spare // one if one else 0  # the bidirectional model has none
    return 1 + max(0, min(walks - 1, more))


def find_short_rank(
    needed: MemoryEstimate, plan: OffloadPlan, walks: int, free: Mapping[int, int]
) -> str | None:
    """Find out whether a GPU is too full for its rank, with one set of caches; None if none is.

    Args:
        free: the bytes of the other ranks' GPUs.
    """
    takes = count_other_rank(needed, walks, 1, unrotated=plan.unrotated_caches)
    for rank, size in free.items():
        if takes > size - RESERVE:
            has, needs = f"{size / 1e9:.1f} GB", f"{(takes + RESERVE) / 1e9:.1f} GB"
            return (
                f"GPU {rank} has only {has} free, its rank needs {needs}; stop what else uses it, "
                "or choose others by CUDA_VISIBLE_DEVICES"
            )
    return None


def _count_peak(
    needed: MemoryEstimate,
    num_walks: int,
    unrotated_caches: bool,
    encoders: OffloadMode,
    text_stream: OffloadMode,
) -> int:
    """Count the peak. Generating, encoding and the text pass never run at once: one thread owns the model."""
    stay = needed.image_stream + needed.autoencoder + num_walks * (needed.walk + needed.walk_latents)
    stay += needed.exchange
    stay += needed.unrotated_caches if unrotated_caches else needed.caches
    stay += needed.encoders if encoders is OffloadMode.ON_DEVICE else 0
    stay += needed.text_stream if text_stream is OffloadMode.ON_DEVICE else 0
    by_turns = [
        needed.working,
        needed.encoding,
        needed.encoders if encoders is OffloadMode.SWAPPED else 0,
        needed.text_stream if text_stream is OffloadMode.SWAPPED else 0,
    ]
    return stay + max(by_turns)


def count_waiting(plan: OffloadPlan, encoders: int, text_stream: int, widening: int) -> int:
    """Count the bytes of the host's memory for parts that are not always on the GPU.

    Args:
        encoders, text_stream: their bytes on the GPU.
        widening: how many times wider a number is if the host computes with it.
    """
    waiting = text_stream if plan.text_stream is OffloadMode.SWAPPED else 0
    if plan.encoders is OffloadMode.SWAPPED:
        return waiting + encoders
    return waiting + (widening * encoders if plan.encoders is OffloadMode.ON_CPU else 0)


def check_host_memory(needed: int, what: str, hint: str) -> None:
    """Check the host's memory. Raises: OSError with the hint if it cannot hold `needed` bytes."""
    available = available_memory()
    if needed > available:
        raise OSError(
            f"{what} needs about {needed / 1e9:.1f} GB of the machine's own memory, "
            f"{available / 1e9:.1f} GB are available; {hint}"
        )
