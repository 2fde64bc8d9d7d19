"""`worldplay doctor`: whether a released model fits into this machine's memory, for how many sessions."""

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from worldplay.chunk_times import recall
from worldplay.commands.list_models import disk_bytes, find_problem
from worldplay.commands.paths import existing_folder
from worldplay.model.config import RELEASED_TRANSFORMER
from worldplay.settings import ModelSettings, read_visible_gpus
from worldplay.world.frames import FPS, FRAMES_PER_LATENT, parse_size, show_size
from worldplay.world.machine import (
    Gpu,
    available_memory,
    check_heads,
    choose_rank_kind,
    find_gpu,
    has_bf16_cpu,
    list_attention_packages,
    list_gpus,
)
from worldplay.world.pace import AUTO, Pace
from worldplay.world.released.files import is_released
from worldplay.world.released.memory_estimate import (
    RELEASED,
    MemoryEstimate,
    Shapes,
    count_other_rank,
    estimate_memory,
)
from worldplay.world.released.offload_plan import (
    MAX_SESSIONS,
    RESERVE,
    OffloadPlan,
    count_cache_sets,
    count_sessions,
    count_spare,
    count_waiting,
    find_short_rank,
    plan_offload,
)
from worldplay.world.released.sizes import SIZES, SizePace, choose_size, render_sizes, render_tiers
from worldplay.world.released.variants import MODEL, Variant, find_variant
from worldplay.world.rollout_config import TierName, count_kept_latents

PRESENT = "present; --check finds out whether they also load, and takes seconds"
CHECKED = "checked: the networks can be built from them; only the values of the weights were not read"
CONTEXTS = (0, 4, 8, 12, 16, 20)  # latents


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine's GPU, and its free memory and disk in bytes."""

    gpu: Gpu | None  # of rank 0
    memory: int
    disk_free: int
    free: Mapping[int, int] = field(default_factory=dict)  # bytes of the other ranks' GPUs, by rank


def examine(device: str, weights_dir: Path, ranks: int = 1) -> Machine:
    """Inspect this machine. Raises: ValueError for a device that it does not have."""
    disk = shutil.disk_usage(existing_folder(weights_dir)).free
    gpus = list_gpus(read_visible_gpus())[:ranks] if ranks > 1 and device != "cpu" else []
    free = {rank: gpu.free for rank, gpu in enumerate(gpus) if rank > 0}
    return Machine(find_gpu(device, read_visible_gpus()), available_memory(), disk, free)


def check_everything(variant: Variant, weights_dir: Path, shapes: Shapes = RELEASED) -> str | None:
    """Find out why a variant cannot be loaded; None if it can. Reads only the weights' headers."""
    from worldplay.world.released.load import (  # importing it takes seconds
        ReleasedConfig,
        check_released,
    )

    try:
        check_released(ReleasedConfig(variant, SIZES[0], shapes=shapes), weights_dir)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def describe_files(variant: Variant, weights_dir: Path, *, check: bool) -> str:
    """Describe what is wrong with the files, or how thoroughly they were checked."""
    if problem := find_problem(variant, weights_dir):
        return problem
    if not check:
        return PRESENT
    return check_everything(variant, weights_dir) or CHECKED


def report(
    machine: Machine,
    variant: Variant,
    size: tuple[int, int],
    budget: int | None,
    files: str,
    max_sessions: int,
    ranks: int = 1,
) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        budget: bytes of a GPU's memory to plan for; None without a GPU.
        files: a description of the files on disk.
        max_sessions: how many sessions the operator allows at once.
        ranks: how many equal GPUs compute the model together.
    """
    needed, gpu = estimate_memory(variant, size, ranks=ranks), machine.gpu
    yield f"GPU      {gpu.name}, {_gb(gpu.free)} of {_gb(gpu.total)} free" if gpu else "GPU      none"
    backends = ", ".join(["PyTorch's", *list_attention_packages()])
    yield f"attention  kernels installed: {backends}; `serve` takes the fastest that is exact"
    yield f"memory   {_gb(machine.memory)} free"
    yield f"disk     {_gb(machine.disk_free)} free; {variant.name} takes about {_gb(disk_bytes(needed))}"
    yield f"files    {files}"
    yield ""
    yield from _parts(needed, variant, size, ranks)
    yield ""
    if budget is not None:
        yield from _plans(needed, variant, budget, max_sessions, machine.free if ranks > 1 else None)
        yield ""
        yield from _sizes(variant, size, budget, machine.free, ranks)
    else:
        yield "Without a GPU only the embedded world is fast enough. For a plan: worldplay doctor --memory 80"


def _parts(needed: MemoryEstimate, variant: Variant, size: tuple[int, int], ranks: int) -> Iterator[str]:
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
        ("autoencoder", needed.autoencoder, ""),
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
        yield f"  {name:15} {_gb(size_bytes):>8}  {remark}".rstrip()
    if variant.is_live:
        latent = variant.num_branches * needed.context_latent
        shares = (f"{latents}: {_gb(latents * latent)}" for latents in CONTEXTS)
        yield f"  KV by context latents  {', '.join(shares)}"
    else:
        yield "  no KV cache: every step reads the whole clip"


def _plans(
    needed: MemoryEstimate,
    variant: Variant,
    budget: int,
    max_sessions: int,
    free: Mapping[int, int] | None,
) -> Iterator[str]:
    """Describe the plan of `serve`, and that of `render`, which has only one walk, if it differs.

    Args:
        free: bytes of the other ranks' GPUs, which are planned like this one if it is empty; None: one rank.
    """
    yield f"Plan for {_gb(budget)}"
    alone = plan_offload(needed, 1, budget)
    if not variant.is_live:
        yield from _describe("serve and render, a clip at a time", needed, alone, variant)
        yield "  sessions         none: this variant only makes clips"
        return
    most = count_sessions(needed, budget)
    served = min(max_sessions, max(1, most))
    serving = plan_offload(needed, served + 1, budget)
    room = f", because {max_sessions} do not fit" if served < max_sessions else ""
    yield from _describe(f"serve, {served} at once and a clip{room}", needed, serving, variant)
    if _choices(alone) != _choices(serving):
        yield from _describe("render", needed, alone, variant)
    others = _least_of_others(free)
    sets = count_cache_sets(needed, serving, served + 1, budget, others)
    yield from _more_caches(needed, serving, sets, served)
    if free is not None:
        yield from _other_ranks(needed, serving, served + 1, sets, budget, free)
    yield from _kept_context(needed, serving, served, budget, others)
    yield f"  most sessions    {most}"


def _more_caches(needed: MemoryEstimate, plan: OffloadPlan, sets: int, sessions: int) -> Iterator[str]:
    one = needed.unrotated_caches if plan.unrotated_caches else needed.caches
    if sets > 1:
        yield f"  more caches      {_gb((sets - 1) * one)}, in what is left: {sets} walks keep their context"
        yield "                   while others compute, and encode nothing again when they take turns"
    elif sessions > 1:
        yield "  more caches      none: sessions that take turns encode their context again"


def _other_ranks(
    needed: MemoryEstimate, plan: OffloadPlan, walks: int, sets: int, budget: int, free: Mapping[int, int]
) -> Iterator[str]:
    """Describe the memory of the other ranks, and name a GPU that others use."""
    takes = count_other_rank(needed, walks, sets, unrotated=plan.unrotated_caches)
    yield f"  other ranks      {_gb(takes)} each at most, without text stream and encoders"
    if problem := find_short_rank(needed, plan, walks, free):
        yield f"                   DOES NOT FIT: {problem}"
        return
    for rank, size in free.items():
        if size < budget:
            yield f"                   GPU {rank} has only {_gb(size)} free, which the plan counts"


def _least_of_others(free: Mapping[int, int] | None) -> int | None:
    """Return the bytes that every other rank may use; None: as many as rank 0."""
    return min(free.values()) - RESERVE if free else None


def _kept_context(
    needed: MemoryEstimate, plan: OffloadPlan, sessions: int, budget: int, others: int | None
) -> Iterator[str]:
    """Describe how much of their context the sessions of `serve` keep in tiers."""
    minutes = _minutes_kept(needed, plan, sessions + 1, budget, others)
    kept = (
        f"context of the latest {minutes:.1f} minutes of each" if minutes else "no context: memory is short"
    )
    yield f"  other tiers      keep {kept}"


def _minutes_kept(
    needed: MemoryEstimate, plan: OffloadPlan, walks: int, budget: int, others: int | None
) -> float:
    """Count the minutes of each walk whose context is kept by tiers; 0 if they encode all of it again."""
    context = CONTEXTS[-1]
    spare = 0 if plan.unrotated_caches else count_spare(needed, plan, walks, budget, others)
    latents = count_kept_latents(spare, needed.kept_latent, walks, context)
    return 0.0 if latents < context else latents * FRAMES_PER_LATENT / FPS / 60


def _choices(plan: OffloadPlan) -> tuple[object, ...]:
    return plan.fits, plan.encoders, plan.text_stream, plan.unrotated_caches


def _describe(who: str, needed: MemoryEstimate, plan: OffloadPlan, variant: Variant) -> Iterator[str]:
    yield f"  {who}: {'fits' if plan.fits else 'DOES NOT FIT'}, {_gb(plan.peak)} at most"
    yield f"    encoders       {plan.encoders.value}"
    yield f"    text stream    {plan.text_stream.value}"
    if variant.is_live:
        yield f"    KV cache       {'stored unrotated' if plan.unrotated_caches else 'both branches'}"
    widening = 1 if has_bf16_cpu() else 2
    if waiting := count_waiting(plan, needed.encoders, needed.text_stream, widening):
        yield f"    main memory    {_gb(waiting)}, for what is not on the GPU"


def _sizes(
    variant: Variant, asked: tuple[int, int], budget: int, free: Mapping[int, int], ranks: int
) -> Iterator[str]:
    last = "most sessions" if variant.is_live else "a clip"
    others = _least_of_others(free)
    kept_of = f" {'kept':>8}" if variant.is_live else ""
    yield f"  {'size':9} {'one walk':>9} {'KV cache':>9}{kept_of}  {last}"
    for size in dict.fromkeys((asked, *SIZES)):
        needed = estimate_memory(variant, size, ranks=ranks)
        plan = plan_offload(needed, 1, budget)
        name = f"{size[0]}x{size[1]}"
        caches = needed.unrotated_caches if plan.unrotated_caches else needed.caches
        clip = "fits" if plan.fits else "does not fit"
        most = (count_sessions(needed, budget) or "does not fit") if variant.is_live else clip
        kept = f" {_minutes_kept(needed, plan, 1, budget, others):>4.1f} min" if variant.is_live else ""
        yield f"  {name:9} {_gb(plan.peak):>9} {_gb(caches):>9}{kept}  {most}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _check_ranks(settings: ModelSettings, variant: Variant, *, planned: bool) -> None:
    """Raises: ValueError if several ranks cannot compute the variant, or not on this machine."""
    if not variant.is_live:
        raise ValueError(f"expected --gpus 1 with --variant {variant.name}, got {settings.gpus}")
    check_heads(settings.gpus, RELEASED_TRANSFORMER.heads)
    if not planned:
        names = [gpu.name for gpu in list_gpus(read_visible_gpus())]
        choose_rank_kind(settings.device, settings.gpus, names)


def _check_tier(settings: ModelSettings, variant: Variant) -> None:
    """Raises: ValueError if the variant cannot be computed in the tier."""
    if settings.tier != "exact":
        from worldplay.world.tiers import check_tier  # importing it takes seconds

        check_tier(settings.tier, can_walk=variant.is_live)


def run(settings: ModelSettings, memory_gb: float | None, *, check: bool) -> None:
    """Print the report for this machine, or for a GPU with `memory_gb`.

    Raises: ValueError for a device that this machine does not have.
    """
    variant = find_variant(settings.variant)
    if settings.gpus > 1:
        _check_ranks(settings, variant, planned=memory_gb is not None)
    _check_tier(settings, variant)
    ranks_here = settings.gpus if memory_gb is None else 1
    machine = examine(settings.device, settings.weights_dir, ranks_here)
    free = machine.gpu.free if machine.gpu else None
    planned = free if memory_gb is None else int(memory_gb * 1e9)
    budget = None if planned is None else max(0, planned - RESERVE)
    rows = [] if free is None or memory_gb is not None else find_paces(settings, variant, free - RESERVE)
    size = _choose_size(settings, rows, planned=memory_gb is not None)
    files = describe_files(variant, settings.weights_dir, check=check)
    for line in report(machine, variant, size, budget, files, settings.max_sessions, settings.gpus):
        sys.stdout.write(line + "\n")
    for line in describe_speed(settings, rows):
        sys.stdout.write(line + "\n")


def find_paces(settings: ModelSettings, variant: Variant, budget: int) -> list[SizePace]:
    """Recall what a chunk takes at each size, in each tier, on this machine's GPU.

    With the size "auto", measure it: in the tier that was asked for, or in as many as a limited time allows.
    """
    if not variant.is_live:
        return []
    if not is_released(settings.model):  # it is not what `doctor` examines, whatever else may be served
        settings = settings.model_copy(update={"model": MODEL})
    tiers = _list_tiers(settings)
    if settings.size == AUTO:
        from worldplay.sizing import measure_tiers  # importing it takes seconds

        return measure_tiers(settings, tiers)
    return [_recall_pace(settings, variant, budget, tier, size) for tier in tiers for size in SIZES]


def _list_tiers(settings: ModelSettings) -> list[TierName]:
    """List the tier that was asked for, or all."""
    if "tier" in settings.model_fields_set:
        return [settings.tier]
    return list(get_args(TierName))


def _recall_pace(
    settings: ModelSettings, variant: Variant, budget: int, tier: TierName, size: tuple[int, int]
) -> SizePace:
    seconds = recall(settings.model_copy(update={"tier": tier}), size)
    pace = None if seconds is None else Pace(seconds, variant.chunk_latents)
    needed = estimate_memory(variant, size, ranks=settings.gpus)
    return SizePace(size, pace, count_sessions(needed, budget), tier)


def _choose_size(settings: ModelSettings, rows: Sequence[SizePace], *, planned: bool) -> tuple[int, int]:
    """Return the size to describe. Raises: ValueError if it cannot be chosen for another machine."""
    if settings.size != AUTO:
        return parse_size(settings.size)
    if planned:
        raise ValueError("expected a --size like 480x832 with --memory, got 'auto'")
    of_tier = [row for row in rows if row.tier == settings.tier]
    return choose_size(of_tier) if of_tier else SIZES[0]


def describe_speed(settings: ModelSettings, rows: Sequence[SizePace]) -> Iterator[str]:
    """Describe what chunks take on this machine; with the size "auto" also those of the embedded world."""
    if rows:
        yield "\nA chunk on this machine; sessions are those that fit in time and in memory"
        yield from (f"  {line}" for line in render_tiers(rows))
        if any(row.pace is None and row.room for row in rows):
            yield "  - : not measured; worldplay doctor --size auto measures it, in minutes; --tier: only one"
    if settings.size == AUTO:
        yield from _describe_embedded(settings)
    elif not rows and settings.tier != "exact":
        asked = f"`worldplay doctor --size auto --tier {settings.tier}`"
        yield f"\nWithout a GPU, {asked} measures the embedded world"
    yield from _say_what_is_served(settings, rows)


def _describe_embedded(settings: ModelSettings) -> Iterator[str]:
    from worldplay.sizing import measure_embedded  # importing it takes seconds

    size, pace = measure_embedded(settings)
    tier = "" if settings.tier == "exact" else f", tier {settings.tier}"
    yield f"\nThe embedded world on this machine{tier}"
    yield from (f"  {line}" for line in render_sizes([SizePace(size, pace, MAX_SESSIONS)]))


def _say_what_is_served(settings: ModelSettings, rows: Sequence[SizePace]) -> Iterator[str]:
    """Say for each tier that was measured which size is served, and whether that is in real time."""
    gpus = f" --gpus {settings.gpus}" if settings.gpus > 1 else ""
    for index, tier in enumerate(dict.fromkeys(row.tier for row in rows if row.pace is not None)):
        of_tier = [row for row in rows if row.tier == tier]
        asked = "" if tier == "exact" else f" --tier {tier}"
        is_in_time = any(row.sessions for row in of_tier)
        how = "in real time" if is_in_time else "the fastest; it is not in real time"
        served = f"`worldplay serve --model {MODEL} --size auto{gpus}{asked}` takes"
        yield f"{'' if index else chr(10)}{served} {show_size(choose_size(of_tier))}, {how}"
