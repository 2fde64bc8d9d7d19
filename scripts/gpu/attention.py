"""Measures which attention backend is fastest on the two shapes of a chunk's attention."""

from functools import partial

import torch

from gpu.setup import Row, Setup
from worldplay.model.attention import KERNELS, MATMUL, SDPA, attend
from worldplay.model.attention_choice import FAILURES, QKV, find_problem
from worldplay.model.config import CHUNK_LATENTS
from worldplay.world.machine import list_attention_packages


@torch.inference_mode()
def measure_attention(setup: Setup) -> list[Row]:
    """Time both branches of one block, in one denoising step and in the context pass."""
    cache = setup.build().rollout.caches[0]
    backends = [SDPA, *KERNELS, MATMUL, *list_attention_packages()]
    rows: list[Row] = []
    for name, latents in (("step", CHUNK_LATENTS), ("context", setup.most_context)):
        shape = cache.make_inputs(latents)
        queries, keys = shape[0].shape[2], shape[1].shape[2]
        for backend in backends:
            row: Row = {"pass": name, "queries": queries, "keys": keys, "backend": backend}
            rows.append(row | _try(setup, backend, shape))
    return rows


def _try(setup: Setup, backend: str, shape: QKV) -> Row:
    if problem := find_problem(backend, shape):
        return {"failed": problem}
    try:
        ms = setup.median_ms(partial(attend, *shape, backend))
    except FAILURES as error:  # also raised out of memory; the other backends must still be measured
        return {"failed": str(error).strip().splitlines()[0][:120]}
    _, _, queries, _ = shape[0].shape
    _, heads, keys, width = shape[1].shape
    return {"ms": ms, "TFLOP/s": 4.0 * queries * keys * heads * width / ms / 1e9}
