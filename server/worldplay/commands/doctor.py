"""`worldplay doctor`: whether a released model fits into this machine's memory, for how many sessions."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from worldplay.commands.doctor_memory import (
    describe_parts,
    describe_plans,
    describe_sizes,
    describe_way_out,
    in_gb,
)
from worldplay.commands.doctor_speed import (
    choose_shown_size,
    describe_speed,
    find_examined,
    find_paces,
)
from worldplay.commands.list_models import disk_bytes, find_file_problem
from worldplay.commands.paths import existing_folder
from worldplay.model.config import RELEASED_TRANSFORMER
from worldplay.settings import ModelSettings, read_visible_gpus
from worldplay.world.attention_packages import list_attention_packages
from worldplay.world.gpus import Gpu, check_heads, choose_rank_kind, find_gpu, list_gpus
from worldplay.world.memory import available_memory
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.released.memory_estimate import RELEASED, Shapes, estimate_memory
from worldplay.world.released.offload_plan import RESERVE
from worldplay.world.released.sizes import SIZES
from worldplay.world.released.variants import Variant, find_variant
from worldplay.world.tier import TIERS, TierName, check_tier, uses_tiny_decoder

PRESENT = "present; --check finds out whether they also load, and takes seconds"
CHECKED = "checked: the networks can be built from them; only the values of the weights were not read"


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
    from worldplay.world.released.load import ReleasedConfig, check_released  # importing it takes seconds

    try:
        check_released(ReleasedConfig(variant, SIZES[0], shapes=shapes), weights_dir)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def describe_files(variant: Variant, weights_dir: Path, *, check: bool) -> str:
    """Describe what is wrong with the files, or how thoroughly they were checked."""
    if problem := find_file_problem(variant, weights_dir):
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
    *,
    tiny_decoder: bool = False,
    elsewhere: bool = False,
) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        budget: bytes of a GPU's memory to plan for; None without a GPU.
        files: a description of the files on disk.
        max_sessions: how many sessions the operator allows at once.
        ranks: how many equal GPUs compute the model together.
        tiny_decoder: it shows the latents.
        elsewhere: the plan is for another machine, whose main memory is not known.
    """
    needed, gpu = estimate_memory(variant, size, ranks=ranks, tiny_decoder=tiny_decoder), machine.gpu
    on_disk = disk_bytes(estimate_memory(variant, size))
    yield f"GPU      {gpu.name}, {in_gb(gpu.free)} of {in_gb(gpu.total)} free" if gpu else "GPU      none"
    backends = ", ".join(["PyTorch's", *list_attention_packages()])
    yield f"attention  kernels installed: {backends}; `serve` takes the fastest that is exact"
    yield f"memory   {in_gb(machine.memory)} free"
    yield f"disk     {in_gb(machine.disk_free)} free; {variant.name} takes about {in_gb(on_disk)}"
    yield f"files    {files}"
    yield ""
    yield from describe_parts(needed, variant, size, ranks)
    yield ""
    if budget is not None:
        free, host = machine.free if ranks > 1 else None, None if elsewhere else machine.memory
        yield from describe_plans(needed, variant, budget, max_sessions, free, host)
        yield ""
        estimate = partial(estimate_memory, variant, ranks=ranks, tiny_decoder=tiny_decoder)
        estimates = {each: estimate(each) for each in (size, *SIZES)}
        yield from describe_sizes(estimates, variant, budget, machine.free, host)
        yield from describe_way_out(variant, budget, ranks, tiny_decoder=tiny_decoder)
    else:
        yield "Without a GPU only the embedded world is fast enough. For a plan: worldplay doctor --memory 80"


def _check_ranks(settings: ModelSettings, variant: Variant, *, planned: bool) -> None:
    """Raises: ValueError if several ranks cannot compute the variant, or not on this machine."""
    if not variant.is_live:
        raise ValueError(f"expected --gpus 1 with --variant {variant.name}, got {settings.gpus}")
    check_heads(settings.gpus, RELEASED_TRANSFORMER.heads)
    if not planned:
        names = [gpu.name for gpu in list_gpus(read_visible_gpus())]
        choose_rank_kind(settings.device, settings.gpus, names)


def _describe_missing_decoder(tier: TierName, root: Path) -> Iterator[str]:
    """Say that the tier's tiny decoder is not there, which `download` does not fetch."""
    path = root / TINY_DECODER
    if TIERS[tier].tiny_decoder and not path.is_file():
        yield f"\nThe tiny decoder of this tier is not there: {path}; see docs/performance.md\n"


def run(settings: ModelSettings, memory_gb: float | None, *, check: bool) -> None:
    """Print the report for this machine, or for a GPU with `memory_gb`.

    Raises: ValueError for a device that this machine does not have.
    """
    variant = find_variant(settings.variant)
    if settings.gpus > 1:
        _check_ranks(settings, variant, planned=memory_gb is not None)
    check_tier(settings.tier, can_walk=variant.is_live)
    root = find_examined(settings)
    ranks_here = settings.gpus if memory_gb is None else 1
    machine = examine(settings.device, root, ranks_here)
    free = machine.gpu.free if machine.gpu else None
    planned = free if memory_gb is None else int(memory_gb * 1e9)
    budget = None if planned is None else max(0, planned - RESERVE)
    rows = [] if free is None or memory_gb is not None else find_paces(settings, variant, free - RESERVE)
    size = choose_shown_size(settings, rows, planned=memory_gb is not None)
    files = describe_files(variant, root, check=check)
    is_tiny = memory_gb is None and uses_tiny_decoder(settings.tier, root)
    for line in report(
        machine,
        variant,
        size,
        budget,
        files,
        settings.max_sessions,
        settings.gpus,
        tiny_decoder=is_tiny,
        elsewhere=memory_gb is not None,
    ):
        sys.stdout.write(line + "\n")
    if budget is not None and memory_gb is None:
        sys.stdout.writelines(_describe_missing_decoder(settings.tier, root))
    for line in describe_speed(settings, rows):
        sys.stdout.write(line + "\n")
