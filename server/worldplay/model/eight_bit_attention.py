"""Attention in 8 bits, emulated: the numbers that 8-bit kernels compute with, multiplied in float32.

Queries and keys are int8 with a scale for each block of tokens; the keys' mean over all tokens, which changes
no softmax, is taken off first. Values are fp8 with a scale for each channel, probabilities fp8. This is the
arithmetic of SageAttention 2 (arXiv 2411.10958). It measures the error, and is slow.
"""

import torch
from torch import Tensor

from worldplay.model.eight_bit_linears import FP8, LARGEST

KEY_BLOCK, QUERY_BLOCK = 64, 128  # tokens that share a scale
_LEAST_SCALE = 1e-12


def attend_in_eight_bits(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend from q, [B, n, Lq, d], to k and v, [B, n, Lk, d]."""
    queries = round_blocks(q.float() * q.shape[-1] ** -0.5, QUERY_BLOCK)
    keys = k.float()
    scores = queries @ round_blocks(keys - keys.mean(dim=2, keepdim=True), KEY_BLOCK).mT
    weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()  # 0 to 1
    rounded = (weights * LARGEST).to(FP8).float() / LARGEST
    return (rounded @ _round_channels(v.float()) / weights.sum(dim=-1, keepdim=True)).to(q.dtype)


def round_blocks(x: Tensor, block: int) -> Tensor:
    """Round tokens, [B, n, L, d], to the numbers that int8 has for each block of them."""
    parts = []
    for part in x.split(block, dim=2):
        scale = part.abs().amax(dim=(2, 3), keepdim=True).clamp_min(_LEAST_SCALE) / 127
        parts.append((part / scale).round() * scale)
    return torch.cat(parts, dim=2)


def _round_channels(v: Tensor) -> Tensor:
    scale = v.abs().amax(dim=2, keepdim=True).clamp_min(_LEAST_SCALE) / LARGEST
    return (v / scale).to(FP8).float() * scale
