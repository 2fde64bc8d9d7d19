"""`worldplay doctor`: what of a released model fits into this machine's memory, and for how many visitors."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from worldplay.commands.list_models import disk_bytes, find_problem
from worldplay.commands.paths import existing_folder
from worldplay.world.device import choose_dtype
from worldplay.world.released.host_memory import available_memory
from worldplay.world.released.memory_estimate import BYTES, Needs, count_needs
from worldplay.world.released.offload import RESERVE, Plan, count_waiting, plan_memory
from worldplay.world.released.variants import MODEL, Variant

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
    memory = available_memory()
    disk = shutil.disk_usage(existing_folder(weights_dir)).free
    if device.type != "cuda":
        return Machine(None, 0, 0, memory, disk)
    free, total = torch.cuda.mem_get_info(device)
    return Machine(torch.cuda.get_device_name(device), free, total, memory, disk)


def count_sessions(needs: Needs, variant: Variant, budget: int) -> int:
    """How many visitors' walks fit beside the model and the clip that the HTTP API makes; 0 if none does."""
    sessions = 0
    while sessions < MAX_SESSIONS and plan_memory(needs.demand(variant, sessions + 2), budget).fits:
        sessions += 1
    return sessions


def report(
    machine: Machine,
    variant: Variant,
    size: tuple[int, int],
    budget: int | None,
    problem: str | None,
    max_sessions: int,
) -> Iterator[str]:
    """Lines to print.

    Args:
        budget: bytes of GPU memory to plan for; None without a GPU.
        problem: what is wrong with the files on disk, if anything.
        max_sessions: visitors whom the operator would let walk at once.
    """
    needs = count_needs(variant, size)
    yield f"GPU      {machine.gpu or 'none'}" + (
        f", {_gb(machine.gpu_free)} of {_gb(machine.gpu_total)} free" if machine.gpu else ""
    )
    yield f"memory   {_gb(machine.memory)} free"
    yield f"disk     {_gb(machine.disk_free)} free; {variant.name} takes about {_gb(disk_bytes(needs))}"
    yield f"files    {problem or 'all there'}"
    yield ""
    yield from _parts(needs, variant, size)
    yield ""
    if budget is not None:
        yield from _plans(needs, variant, budget, max_sessions)
        yield ""
        yield from _sizes(variant, size, budget)
    else:
        yield "Without a GPU only the embedded world runs. To plan for one: worldplay doctor --memory 80"


def _parts(needs: Needs, variant: Variant, size: tuple[int, int]) -> Iterator[str]:
    yield f"{MODEL} {variant.name} at {size[0]}x{size[1]}"
    text = "idle between prompts" if variant.is_live else "used at every step"
    caches = [
        ("KV cache", needs.caches, "text, 20 context latents and the chunk, allocated once"),
        ("  or stored raw", needs.raw_caches, "slower at every denoising step"),
    ]
    for name, size_bytes, remark in (
        ("image stream", needs.image_stream, "of the transformer"),
        ("text stream", needs.text_stream, f"of the transformer; {text}"),
        ("autoencoder", needs.autoencoder, ""),
        ("encoders", needs.encoders, "Qwen2.5-VL, ByT5, SigLIP; idle between prompts"),
        *(caches if variant.is_live else ()),
        ("each visitor" if variant.is_live else "a clip", needs.session, "decoder state and text"),
        ("working", needs.working, "activations, an estimate"),
    ):
        yield f"  {name:15} {_gb(size_bytes):>8}  {remark}".rstrip()
    if variant.is_live:
        shares = (
            f"{latents}: {_gb(variant.num_branches * latents * needs.context_latent)}" for latents in CONTEXTS
        )
        yield f"  KV by context latents  {', '.join(shares)}"
    else:
        yield "  no KV cache: every step reads the whole clip"


def _plans(needs: Needs, variant: Variant, budget: int, max_sessions: int) -> Iterator[str]:
    """What `serve` would do, and what `render` would, which has one walk only, where that differs."""
    yield f"Plan for {_gb(budget)}"
    alone = plan_memory(needs.demand(variant, 1), budget)
    if not variant.is_live:
        yield from _describe("serve and render, a clip at a time", needs, alone, variant)
        yield "  visitors         none: it cannot be walked, it makes clips"
        return
    most = count_sessions(needs, variant, budget)
    served = min(max_sessions, max(1, most))
    serving = plan_memory(needs.demand(variant, served + 1), budget)
    room = f", as there is no room for {max_sessions}" if served < max_sessions else ""
    yield from _describe(f"serve, {served} at once and a clip{room}", needs, serving, variant)
    if _choices(alone) != _choices(serving):
        yield from _describe("render", needs, alone, variant)
    yield f"  most visitors    {most}"


def _choices(plan: Plan) -> tuple[object, ...]:
    return plan.fits, plan.encoders, plan.text_stream, plan.raw_caches


def _describe(who: str, needs: Needs, plan: Plan, variant: Variant) -> Iterator[str]:
    yield f"  {who}: {'fits' if plan.fits else 'DOES NOT FIT'}, {_gb(plan.peak)} at most"
    yield f"    encoders       {plan.encoders.value}"
    yield f"    text stream    {plan.text_stream.value if variant.is_live else 'on the GPU'}"
    if variant.is_live:
        yield f"    KV cache       {'stored raw' if plan.raw_caches else 'both branches'}"
    widening = choose_dtype(torch.device("cpu")).itemsize // BYTES
    if waiting := count_waiting(plan, needs.encoders, needs.text_stream, widening):
        yield f"    own memory     {_gb(waiting)} of the machine's, for what is not on the GPU"


def _sizes(variant: Variant, asked: tuple[int, int], budget: int) -> Iterator[str]:
    last = "most visitors" if variant.is_live else "a clip"
    yield f"  {'size':9} {'one walk':>9} {'KV cache':>9}  {last}"
    for size in dict.fromkeys((asked, *SIZES)):
        needs = count_needs(variant, size)
        plan = plan_memory(needs.demand(variant, 1), budget)
        name, caches = f"{size[0]}x{size[1]}", needs.raw_caches if plan.raw_caches else needs.caches
        clip = "fits" if plan.fits else "does not fit"
        most = (count_sessions(needs, variant, budget) or "does not fit") if variant.is_live else clip
        yield f"  {name:9} {_gb(plan.peak):>9} {_gb(caches):>9}  {most}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def run(
    variant: Variant,
    size: tuple[int, int],
    device: torch.device,
    memory_gb: float | None,
    weights_dir: Path,
    max_sessions: int,
) -> None:
    """Print the report for this machine, or for a GPU with so many gigabytes."""
    machine = examine(device, weights_dir)
    free = machine.gpu_free if machine.gpu else None
    planned = free if memory_gb is None else int(memory_gb * 1e9)
    budget = None if planned is None else max(0, planned - RESERVE)
    problem = find_problem(variant, weights_dir)
    for line in report(machine, variant, size, budget, problem, max_sessions):
        sys.stdout.write(line + "\n")
