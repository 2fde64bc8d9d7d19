"""Measures which of SDPA's backends is fastest on the two shapes of a chunk's attention."""

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpu.setup import TEXT_TOKENS, Row, Setup
from worldplay.model.config import CHUNK_LATENTS

BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}


@torch.inference_mode()
def measure_attention(setup: Setup) -> list[Row]:
    """Time both branches of one block, in one denoising step and in the context pass."""
    held, own = setup.most_context * setup.tokens, CHUNK_LATENTS * setup.tokens
    shapes = {"step": (own, TEXT_TOKENS + held + own), "context": (held, TEXT_TOKENS + held)}
    rows: list[Row] = []
    for name, (queries, keys) in shapes.items():
        for backend in BACKENDS:
            row: Row = {"pass": name, "queries": queries, "keys": keys, "backend": backend}
            rows.append(row | _try(setup, BACKENDS[backend], queries, keys))
    return rows


def _try(setup: Setup, backend: SDPBackend, queries: int, keys: int) -> Row:
    config = setup.scale.transformer
    heads, width = config.heads, config.head_dim
    q = torch.randn(2, queries, heads, width, device=setup.device).to(setup.dtype).transpose(1, 2)
    k, v = (torch.randn(2, heads, keys, width, device=setup.device).to(setup.dtype) for _ in range(2))
    try:
        with sdpa_kernel(backend):
            ms = setup.median_ms(lambda: F.scaled_dot_product_attention(q, k, v))
    except RuntimeError as error:  # also raised out of memory; the other backends must still be measured
        return {"failed": str(error).strip().splitlines()[0][:120]}
    return {"ms": ms, "TFLOP/s": 8.0 * queries * keys * config.hidden / ms / 1e9}
