"""What has not run on a GPU yet, or broke there: each check says in a few rows whether it works."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from gpu.linears import is_lack
from gpu.passes import make_passes
from gpu.setup import TEXT_TOKENS, FoundFaultError, Row, Setup, make_text
from worldplay.commands.hardware import peak_memory
from worldplay.media.codecs import NVENC, has_nvenc
from worldplay.media.encoder import find_live_codec
from worldplay.model.vae_stream import TINY, Prepare, _silu, _surround
from worldplay.settings import load_model_settings
from worldplay.sizing import measure_sizes
from worldplay.world.attention import set_attention
from worldplay.world.cuda_graphs import record_world
from worldplay.world.decoder_norms import _LARGEST_ERROR, import_kernel
from worldplay.world.frames import FPS, show_size
from worldplay.world.pace import AUTO
from worldplay.world.released.variants import MODEL
from worldplay.world.tiers import find_rounding_problem

TESTS = Path(__file__).resolve().parents[2] / "tests"
_SHAPE = "channels, frames, height, width"
GPU_TESTS = ("ranks/test_gpus.py", "world/test_tiers.py", "model/test_fused_norm.py")  # some need a GPU


def check_encoder(setup: Setup) -> Iterator[Row]:
    """Try the GPU's encoder of H.264."""
    height, width = setup.size
    chosen = find_live_codec(width, height, FPS)
    yield {"PyAV has": NVENC if has_nvenc() else "no NVENC", "used for live video": chosen}


def check_units(setup: Setup) -> Iterator[Row]:
    """Compare products in 8 bits with their emulation. Raises: FoundFaultError if units are wrong."""
    problem = find_rounding_problem(setup.device)
    yield {"8-bit products": problem or "equal to their emulation"}
    if problem is not None and not is_lack(problem):
        raise FoundFaultError(f"8-bit products: {problem}")


def check_norms(setup: Setup) -> Iterator[Row]:
    """Compare the fused norm with plain operations at every shape of the decoder; on a CPU, them alone.

    Raises: FoundFaultError if it is off at any.
    """
    worst: Row = {"rms error": 0.0}
    for row in compare_norms(setup, import_kernel() if setup.device.type == "cuda" else plain_surround):
        yield row
        worst = row if not float(row["rms error"]) <= float(worst["rms error"]) else worst
    if not float(worst["rms error"]) <= _LARGEST_ERROR:
        off, where = 100 * float(worst["rms error"]), worst[_SHAPE]
        raise FoundFaultError(f"the fused norm is off by {off:.2g} % at {where}")


def compare_norms(setup: Setup, prepare: Prepare) -> Iterator[Row]:
    """Compare a way to prepare convolutions with plain operations, at every shape of the decoder."""
    vae = setup.build(replace(setup.scale.transformer, blocks=1)).vae
    shape = 1, vae.config.latent_channels, 1, *setup.grid
    latent = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(setup.device)
    rows: dict[tuple[int, ...], Row] = {}

    def compare(x: Tensor, gamma: Tensor, past: Tensor) -> Tensor:
        expected = plain_surround(x, gamma, past)
        if (key := tuple(x.shape[1:])) not in rows:
            off = prepare(x, gamma, past).float() - expected.float()
            row: Row = {_SHAPE: str(key), "largest difference": off.abs().max().item()}
            row |= {"rms error": (off.norm() / expected.float().norm()).item()}
            row |= {"plain ms": setup.median_ms(lambda: plain_surround(x, gamma, past))}
            rows[key] = row | {"fused ms": setup.median_ms(lambda: prepare(x, gamma, past))}
        return expected

    with torch.inference_mode():
        state = vae.new_decoder_state()
        vae.decode_latent(latent, state)
        vae.use_prepare(compare)
        vae.decode_latent(latent, state)
    yield from rows.values()


def plain_surround(x: Tensor, gamma: Tensor, past: Tensor) -> Tensor:
    """Do what the fused norm does, by plain operations."""
    normed = F.rms_norm(x.movedim(1, -1), (x.shape[1],), gamma.view(-1), TINY).movedim(-1, 1)
    return _surround(past, normed, _silu)


def check_tests(setup: Setup) -> Iterator[Row]:
    """Run tests that need a GPU, or do more on one: NCCL of one rank, and Triton's kernel.

    Raises: FoundFaultError naming files of which a test failed, or none was found.
    """
    failed = []
    for row in run_tests([TESTS / name for name in GPU_TESTS]):
        yield row
        failed += [f"{row['tests']}: exit code {row['exit code']}"] if row["exit code"] else []
    if failed:
        raise FoundFaultError("; ".join(failed))


def run_tests(files: Sequence[Path]) -> Iterator[Row]:
    """Run each file of tests in a process of its own."""
    for file in files:
        began = perf_counter()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTS.parent)
        sys.stderr.write(done.stdout + done.stderr)
        said = [line for line in done.stdout.splitlines() if " in " in line] or ["no summary"]
        yield {
            "tests": file.name,
            "exit code": done.returncode,
            "said": said[-1],
            "s": perf_counter() - began,
        }


def check_backends(setup: Setup) -> Iterator[Row]:
    """Choose the attention backend as the server does, and see what memory that takes."""
    world = setup.build(replace(setup.scale.transformer, blocks=1))
    before, began = peak_memory(setup.device), perf_counter()
    set_attention(world, AUTO)
    taken = (peak_memory(setup.device) - before) / 1e9
    yield {"attention": world.rollout.transformer.attention, "s": perf_counter() - began, "more GB": taken}


@torch.inference_mode()
def check_prompts(setup: Setup) -> Iterator[Row]:
    """Time the first passes after a prompt of another length, for which kernels and recordings are made."""
    world = set_attention(setup.build(), AUTO)
    if setup.device.type == "cuda":
        record_world(world, "auto")
    passes = make_passes(setup, world)
    for tokens in (TEXT_TOKENS, TEXT_TOKENS - 9, TEXT_TOKENS):
        world.rollout.caches[0].set_text(make_text(setup, world.rollout.transformer, tokens))
        for run in ("first", "second", "third"):
            row: Row = {"text tokens": tokens, "run": run}
            yield row | {f"{name} ms": setup.time_ms(function) for name, function in passes.items()}


def check_sizes(setup: Setup) -> Iterator[Row]:
    """Measure every size as `serve --size auto` does, but without compiling, which takes a minute each.

    Raises: FoundFaultError naming sizes that fit into memory and could not be measured.
    """
    failed = []
    for row in _measure_all_sizes(setup):
        yield row
        failed += [str(row["size"])] if row["room"] and "chunk s" not in row else []
    if failed:
        raise FoundFaultError(f"{', '.join(failed)} fits into memory, but could not be measured")


def _measure_all_sizes(setup: Setup) -> Iterator[Row]:
    setup.need_cuda()
    settings = load_model_settings(model=MODEL, size="auto", device=str(setup.device), compile="off")
    for row in measure_sizes(settings):
        found: Row = {"size": show_size(row.size), "sessions": row.sessions, "room": row.room}
        if row.pace is not None:
            found |= {"chunk s": row.pace.made_s, "times real time": row.pace.times_real_time}
        yield found
