"""`worldplay doctor`: what of a released model fits into this machine's memory, and for how many visitors."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from worldplay.models import disk_bytes, find_problem
from worldplay.world.demand import Needs, count_needs
from worldplay.world.residency import RESERVE, plan_memory
from worldplay.world.variants import MODEL, Variant

SIZES = ((480, 832), (352, 640), (240, 416))  # compared with the one asked for
CONTEXTS = (0, 4, 8, 12, 16, 20)  # latents
MAX_SESSIONS = 100


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to work with, in bytes; no GPU leaves its fields empty."""

    gpu: str | None
    gpu_free: int
    gpu_total: int
    memory: int
    disk_free: int


def examine(device: torch.device, weights_dir: Path) -> Machine:
    existing = next(folder for folder in (weights_dir, *weights_dir.absolute().parents) if folder.is_dir())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    disk = shutil.disk_usage(existing).free
    if device.type != "cuda":
        return Machine(None, 0, 0, memory, disk)
    free, total = torch.cuda.mem_get_info(device)
    return Machine(torch.cuda.get_device_name(device), free, total, memory, disk)


def count_sessions(needs: Needs, variant: Variant, budget: int) -> int:
    """How many visitors' walks fit beside the model; 0 if not even the model does."""
    sessions = 0
    while sessions < MAX_SESSIONS and plan_memory(needs.demand(variant, sessions + 1), budget).fits:
        sessions += 1
    return sessions


def report(
    machine: Machine, variant: Variant, size: tuple[int, int], budget: int, problem: str | None
) -> Iterator[str]:
    """Lines to print.

    Args:
        budget: bytes of GPU memory to plan for.
        problem: what is wrong with the files on disk, if anything.
    """
    needs = count_needs(variant, size)
    yield f"GPU      {machine.gpu or 'none'}" + (
        f", {_gb(machine.gpu_free)} of {_gb(machine.gpu_total)} free" if machine.gpu else ""
    )
    yield f"memory   {_gb(machine.memory)}"
    yield f"disk     {_gb(machine.disk_free)} free; {variant.name} takes about {_gb(disk_bytes(needs))}"
    yield f"files    {problem or 'all there'}"
    yield ""
    yield from _parts(needs, variant, size)
    yield ""
    if budget:
        yield from _plan(needs, variant, budget)
        yield ""
        yield from _sizes(variant, size, budget)
    else:
        yield "Without a GPU only the embedded world runs. To plan for one: worldplay doctor --memory 80"


def _parts(needs: Needs, variant: Variant, size: tuple[int, int]) -> Iterator[str]:
    text = "idle between prompts" if variant.is_live else "used at every step"
    yield f"{MODEL} {variant.name} at {size[0]}x{size[1]}"
    for name, size_bytes, remark in (
        ("image stream", needs.image_stream, "of the transformer"),
        ("text stream", needs.text_stream, f"of the transformer; {text}"),
        ("autoencoder", needs.autoencoder, ""),
        ("encoders", needs.encoders, "Qwen2.5-VL, ByT5, SigLIP; idle between prompts"),
        ("KV cache", needs.caches, "text, 20 context latents and the chunk, allocated once"),
        ("  or stored raw", needs.raw_caches, "slower at every denoising step"),
        ("each visitor", needs.session, "decoder state and text"),
        ("working", needs.working, "activations, an estimate"),
    ):
        yield f"  {name:15} {_gb(size_bytes):>8}  {remark}".rstrip()
    if variant.is_live:
        shares = (
            f"{latents}: {_gb(variant.num_branches * latents * needs.context_latent)}" for latents in CONTEXTS
        )
        yield f"  KV by context latents  {', '.join(shares)}"


def _plan(needs: Needs, variant: Variant, budget: int) -> Iterator[str]:
    plan = plan_memory(needs.demand(variant), budget)
    sessions = count_sessions(needs, variant, budget)
    yield f"Plan for {_gb(budget)}: {'fits' if plan.fits else 'DOES NOT FIT'}, {_gb(plan.peak)} at most"
    yield f"  encoders       {plan.encoders.value}"
    yield f"  text stream    {plan.text_stream.value if variant.is_live else 'on the GPU'}"
    yield f"  KV cache       {'stored raw' if plan.raw_caches else 'both branches'}"
    yield f"  visitors       {sessions}"


def _sizes(variant: Variant, asked: tuple[int, int], budget: int) -> Iterator[str]:
    yield f"  {'size':9} {'peak':>9} {'KV cache':>9}  most visitors"
    for size in dict.fromkeys((asked, *SIZES)):
        needs = count_needs(variant, size)
        plan = plan_memory(needs.demand(variant), budget)
        name, caches = f"{size[0]}x{size[1]}", needs.raw_caches if plan.raw_caches else needs.caches
        yield (
            f"  {name:9} {_gb(plan.peak):>9} {_gb(caches):>9}  "
            f"{count_sessions(needs, variant, budget) or 'does not fit'}"
        )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def run(
    variant: Variant, size: tuple[int, int], device: torch.device, memory_gb: float | None, weights_dir: Path
) -> None:
    """Print the report for this machine, or for a GPU with so many gigabytes."""
    machine = examine(device, weights_dir)
    budget = max(0, machine.gpu_free - RESERVE) if memory_gb is None else int(memory_gb * 1e9) - RESERVE
    for line in report(machine, variant, size, budget, find_problem(variant, weights_dir)):
        sys.stdout.write(line + "\n")
