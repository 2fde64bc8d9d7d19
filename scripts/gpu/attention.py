"""Measures which attention backend is fastest on the two shapes of a chunk's attention."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from gpu.setup import Row, Setup
from worldplay.model.attention import KERNELS, MATMUL, SDPA, attend
from worldplay.model.attention_choice import FAILURES, QKV, find_problem
from worldplay.model.config import CHUNK_LATENTS
from worldplay.wording import describe_error
from worldplay.world.attention_packages import list_attention_packages

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]

SAGE_1 = "sageattention's first version"  # in Triton: 8-bit queries and keys; no backend of the server
_STORES_SCORES = {MATMUL, "sdpa-math"}
_MOST_SCORES_BYTES = 8e9


@torch.inference_mode()
def measure_attention(setup: Setup) -> Iterator[Row]:
    """Time both branches of one block, in one denoising step and in the context pass."""
    cache = setup.build(replace(setup.scale.transformer, blocks=1)).rollout.caches[0]
    for name, latents in (("step", CHUNK_LATENTS), ("context", setup.most_context)):
        shape = cache.make_inputs(latents)
        _, heads, queries, _ = shape[0].shape
        keys = shape[1].shape[2]
        for backend in _list_backends(heads * queries * keys * shape[0].itemsize):
            row: Row = {"pass": name, "queries": queries, "keys": keys, "backend": backend}
            yield row | _try(setup, partial(attend, backend=backend), shape, find_problem(backend, shape))
        if find_spec("sageattention") is not None:
            row = {"pass": name, "queries": queries, "keys": keys, "backend": SAGE_1}
            yield row | _try(setup, _sage, shape, None) | _measure_error(_sage, shape)


def _list_backends(scores_bytes: int) -> list[str]:
    found = [SDPA, *KERNELS, MATMUL, *list_attention_packages()]
    return [name for name in found if name not in _STORES_SCORES or scores_bytes < _MOST_SCORES_BYTES]


def _try(setup: Setup, function: Attend, shape: QKV, problem: str | None) -> Row:
    if problem:
        return {"failed": problem}
    try:
        ms = setup.median_ms(partial(function, *shape))
    except FAILURES as error:  # also raised out of memory; the other backends must still be measured
        return {"failed": describe_error(error)}
    _, _, queries, _ = shape[0].shape
    _, heads, keys, width = shape[1].shape
    return {"ms": ms, "TFLOP/s": 4.0 * queries * keys * heads * width / ms / 1e9}


def _measure_error(function: Attend, shape: QKV) -> Row:
    q, k, v = (part[:, :, :1024] for part in shape)
    expected = attend(q.float(), k.float(), v.float(), MATMUL)
    try:
        off = (function(q, k, v).float() - expected).norm() / expected.norm()
    except FAILURES:  # `_try` says why
        return {}
    return {"error": off.item()}


def _sage(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    seen: Tensor = import_module("sageattention").sageattn(q, k, v, is_causal=False)
    return seen
