"""What a released model takes of a GPU's memory, part by part, and how many sessions fit; for `doctor`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from worldplay.world.frames import FPS, FRAMES_PER_LATENT, show_size
from worldplay.world.processor import has_bf16_cpu
from worldplay.world.released.memory_estimate import MemoryEstimate, count_other_rank, estimate_memory
from worldplay.world.released.offload_plan import (
    OffloadMode,
    OffloadPlan,
    count_cache_sets,
    count_sessions,
    count_spare,
    count_waiting,
    find_short_rank,
    least_of_others,
    plan_offload,
    plan_to_keep,
)
from worldplay.world.released.sizes import SIZES
from worldplay.world.released.variants import MODEL, Variant
from worldplay.world.rollout_config import count_kept_latents

CONTEXTS = (0, 4, 8, 12, 16, 20)  # latents


@dataclass(frozen=True, slots=True)
class _Limits:
    """What else than the budget limits the context that is kept."""

    others: int | None  # bytes that every other rank may use; None: as many as rank 0
    host: float  # bytes of main memory; infinite if they are not known


def describe_parts(
    needed: MemoryEstimate, variant: Variant, size: tuple[int, int], ranks: int
) -> Iterator[str]:
    on = f", on rank 0 of {ranks}" if ranks > 1 else ""
    yield f"{MODEL} {variant.name} at {size[0]}x{size[1]}{on}"
    text = "idle between prompts" if needed.text_is_idle else "used at every step"
    caches = [
        ("KV cache", needed.caches, "text, 20 context latents and the chunk, allocated once"),
        ("  or unrotated", needed.unrotated_caches, "slower at every denoising step"),
    ]
    for name, size_bytes, remark in (
        ("image stream", needed.image_stream, "of the transformer"),
        ("text stream", needed.text_stream, f"of the transformer; {text}"),
        ("autoencoder", needed.autoencoder, "" if needed.decoder else "a tiny decoder shows the latents"),
        ("encoders", needed.encoders, "Qwen2.5-VL, ByT5, SigLIP; idle between prompts"),
        *(caches if variant.is_live else ()),
        (
            "each session" if variant.is_live else "a clip",
            needed.walk + needed.walk_latents,
            "decoder state, text, and the latest 3 minutes of latents",
        ),
        ("working", needed.working, "activations, an estimate"),
        *((("exchange", needed.exchange, "NCCL's buffers, an estimate"),) if ranks > 1 else ()),
    ):
        yield f"  {name:15} {in_gb(size_bytes):>8}  {remark}".rstrip()
    if variant.is_live:
        latent = variant.num_branches * needed.context_latent
        shares = (f"{latents}: {in_gb(latents * latent)}" for latents in CONTEXTS)
        yield f"  KV by context latents  {', '.join(shares)}"
    else:
        yield "  no KV cache: every step reads the whole clip"


def describe_plans(
    needed: MemoryEstimate,
    variant: Variant,
    budget: int,
    max_sessions: int,
    free: Mapping[int, int] | None,
    host: int | None,
) -> Iterator[str]:
    """Describe the plan of `serve`, and that of `render`, which has only one walk, if it differs.

    Args:
        free: bytes of the other ranks' GPUs, which are planned like this one if it is empty; None: one rank.
        host: bytes of main memory that are free; None: not known.
    """
    yield f"Plan for {in_gb(budget)}"
    alone = plan_offload(needed, 1, budget)
    if not variant.is_live:
        yield from _describe("serve and render, a clip at a time", needed, alone, variant, host)
        yield "  sessions         none: this variant only makes clips"
        return
    most = count_sessions(needed, budget)
    served = min(max_sessions, max(1, most))
    serving = plan_offload(needed, served + 1, budget)
    room = f", because {max_sessions} do not fit" if served < max_sessions else ""
    yield from _describe(f"serve, {served} at once and a clip{room}", needed, serving, variant, host)
    if _choices(alone) != _choices(serving):
        yield from _describe("render", needed, alone, variant, host)
    if not serving.fits:
        return
    limits = _Limits(least_of_others(free or {}), inf if host is None else host)
    sets = count_cache_sets(needed, serving, served + 1, budget, limits.others)
    yield from _more_caches(needed, serving, sets, served)
    if free is not None:
        yield from _other_ranks(needed, serving, served + 1, sets, budget, free)
    yield from _kept_context(needed, serving, max_sessions, budget, limits)
    yield f"  most sessions    {most}"


def _more_caches(needed: MemoryEstimate, plan: OffloadPlan, sets: int, sessions: int) -> Iterator[str]:
    one = needed.unrotated_caches if plan.unrotated_caches else needed.caches
    if sets > 1:
        more = in_gb((sets - 1) * one)
        yield f"  more caches      {more}, in what is left: {sets} walks keep their context"
        yield "                   while others compute, and encode nothing again when they take turns"
    elif sessions > 1:
        yield "  more caches      none: sessions that take turns encode their context again"


def _other_ranks(
    needed: MemoryEstimate, plan: OffloadPlan, walks: int, sets: int, budget: int, free: Mapping[int, int]
) -> Iterator[str]:
    """Describe the memory of the other ranks, and name a GPU that others use."""
    takes = count_other_rank(needed, walks, sets, unrotated=plan.unrotated_caches)
    without = "without text stream and encoders"
    if not needed.decoder:
        without = "without text stream, encoders and autoencoder"
    yield f"  other ranks      {in_gb(takes)} each at most, {without}"
    if problem := find_short_rank(needed, plan, walks, free):
        yield f"                   DOES NOT FIT: {problem}"
        return
    for rank, size in free.items():
        if size < budget:
            yield f"                   GPU {rank} has only {in_gb(size)} free, which the plan counts"


def _kept_context(
    needed: MemoryEstimate, serving: OffloadPlan, max_sessions: int, budget: int, limits: _Limits
) -> Iterator[str]:
    """Describe how much of their context the sessions of `serve` keep in tiers, and what that takes."""
    kept = _plan_to_keep(needed, max_sessions, 1, budget, limits)
    if kept is None:
        yield "  other tiers      keep no context: memory is short"
        return
    plan, sessions = kept
    minutes = _minutes_kept(needed, plan, sessions + 1, budget, limits.others)
    few = f", for {sessions} at once" if sessions < max_sessions else ""
    yield f"  other tiers      keep context of the latest {minutes:.1f} minutes of each{few}"
    modes = {"encoders": plan.encoders, "text stream": plan.text_stream}
    moved = [name for name, mode in modes.items() if mode is OffloadMode.SWAPPED]
    if moved and _choices(plan) != _choices(serving):
        yield f"                   with {' and '.join(moved)} {OffloadMode.SWAPPED.value}"


def _minutes_kept_of_one(needed: MemoryEstimate, budget: int, limits: _Limits) -> float:
    """Count the minutes of a walk alone whose context tiers keep; 0 if they encode all of it again."""
    kept = _plan_to_keep(needed, 1, 0, budget, limits)
    return 0.0 if kept is None else _minutes_kept(needed, kept[0], 1, budget, limits.others)


def _plan_to_keep(
    needed: MemoryEstimate, sessions: int, clips: int, budget: int, limits: _Limits
) -> tuple[OffloadPlan, int] | None:
    return plan_to_keep(needed, sessions, clips, budget, CONTEXTS[-1], limits.others, limits.host)


def _minutes_kept(
    needed: MemoryEstimate, plan: OffloadPlan, walks: int, budget: int, others: int | None
) -> float:
    spare = count_spare(needed, plan, walks, budget, others)
    latents = count_kept_latents(spare, needed.kept_latent, walks, CONTEXTS[-1])
    return latents * FRAMES_PER_LATENT / FPS / 60


def _choices(plan: OffloadPlan) -> tuple[object, ...]:
    return plan.fits, plan.encoders, plan.text_stream, plan.unrotated_caches


def _describe(
    who: str, needed: MemoryEstimate, plan: OffloadPlan, variant: Variant, host: int | None
) -> Iterator[str]:
    peak = in_gb(plan.peak)
    yield f"  {who}: {f'fits, {peak} at most' if plan.fits else f'DOES NOT FIT, it takes at least {peak}'}"
    yield f"    encoders       {plan.encoders.value}"
    yield f"    text stream    {plan.text_stream.value}"
    if variant.is_live:
        yield f"    KV cache       {'stored unrotated' if plan.unrotated_caches else 'both branches'}"
    widening = 1 if has_bf16_cpu() else 2
    if waiting := count_waiting(plan, needed.encoders, needed.text_stream, widening):
        short = "" if host is None or waiting <= host else f": DOES NOT FIT, {in_gb(host)} are free"
        yield f"    main memory    {in_gb(waiting)}, for what is not on the GPU{short}"


def describe_sizes(
    estimates: Mapping[tuple[int, int], MemoryEstimate],
    variant: Variant,
    budget: int,
    free: Mapping[int, int],
    host: int | None,
) -> Iterator[str]:
    """Describe what each size takes, (height, width). Args: free, host: as in `describe_plans`."""
    last = "most sessions" if variant.is_live else "a clip"
    limits = _Limits(least_of_others(free or {}), inf if host is None else host)
    kept_of = f" {'kept':>8}" if variant.is_live else ""
    yield f"  {'size':9} {'one walk':>9} {'KV cache':>9}{kept_of}  {last}"
    for size, needed in estimates.items():
        plan = plan_offload(needed, 1, budget)
        name = f"{size[0]}x{size[1]}"
        caches = needed.unrotated_caches if plan.unrotated_caches else needed.caches
        clip = "fits" if plan.fits else "does not fit"
        most = (count_sessions(needed, budget) or "does not fit") if variant.is_live else clip
        kept = f" {_minutes_kept_of_one(needed, budget, limits):>4.1f} min" if variant.is_live else ""
        yield f"  {name:9} {in_gb(plan.peak):>9} {in_gb(caches):>9}{kept}  {most}"


def describe_way_out(variant: Variant, budget: int, ranks: int, *, tiny_decoder: bool) -> Iterator[str]:
    """Say what would fit if no published size does."""
    size = min(SIZES)

    def plan(*, tiny: bool) -> OffloadPlan:
        return plan_offload(estimate_memory(variant, size, ranks=ranks, tiny_decoder=tiny), 1, budget)

    least = plan(tiny=tiny_decoder)
    if least.fits:
        return
    takes = f"{show_size(size)} takes {in_gb(least.peak)} for one walk"
    said = f"  No published size fits into {in_gb(budget)}: {takes}"
    if variant.is_live and not tiny_decoder:
        tiny = plan(tiny=True)
        fits = ", which fits" if tiny.fits else ""
        said += f", and {in_gb(tiny.peak)} with --tier fast and its tiny decoder{fits}"
    yield said


def in_gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
