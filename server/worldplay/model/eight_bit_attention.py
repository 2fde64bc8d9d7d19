"""Attention in 8 bits, emulated: the numbers that 8-bit kernels compute with, multiplied in float32.

Queries and keys are int8 with a scale for each block of tokens; the mean of the keys, which changes no
softmax, is taken off first. Values are fp8 with a scale for each channel, probabilities fp8. This is the
arithmetic of SageAttention 2 (arXiv 2411.10958). It measures the error, and is slow.

Text and context stay while a chunk is denoised. So they are rounded apart from the chunk's own tokens, with
their own mean and scales, and their rounded numbers serve all steps.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from worldplay.model.eight_bit_linears import FP8, LARGEST

KEY_BLOCK, QUERY_BLOCK = 64, 128  # tokens that share a scale
_LEAST_SCALE = 1e-12


class Rounded(NamedTuple):
    """Numbers of 8 bits, and what each is multiplied with."""

    numbers: Tensor  # [B, n, L, d] int8 or fp8
    scales: Tensor  # float32; broadcasts against the numbers

    def widen(self) -> Tensor:
        return self.numbers.float() * self.scales


class RoundedTokens(NamedTuple):
    """Keys and values in 8 bits. The mean was taken off the keys."""

    keys: Rounded
    values: Rounded
    mean: Tensor  # [B, n, 1, d] float32


def attend_in_eight_bits(q: Tensor, k: Tensor, v: Tensor, before: RoundedTokens | None = None) -> Tensor:
    """Attend from q, [B, n, Lq, d], to k and v, [B, n, Lk, d].

    Args: before: the first tokens of k and v, if they are rounded already; their mean is taken off all keys.
    """
    queries = round_blocks(q.float() * q.shape[-1] ** -0.5, QUERY_BLOCK).widen()
    if before is None:
        rounded = [round_tokens(k, v)]
    else:
        num_before = before.keys.numbers.shape[2]
        rounded = [before, round_tokens(k[:, :, num_before:], v[:, :, num_before:], before.mean)]
    keys = torch.cat([tokens.keys.widen() for tokens in rounded], dim=2)
    values = torch.cat([tokens.values.widen() for tokens in rounded], dim=2)
    scores = queries @ keys.mT
    weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()  # 0 to 1
    in_fp8 = (weights * LARGEST).to(FP8).float() / LARGEST
    return (in_fp8 @ values / weights.sum(dim=-1, keepdim=True)).to(q.dtype)


def round_tokens(k: Tensor, v: Tensor, mean: Tensor | None = None) -> RoundedTokens:
    """Round keys and values, [B, n, L, d] each. Args: mean: of keys, [B, n, 1, d]; None: of these."""
    keys = k.float()
    if mean is None:
        mean = keys.mean(dim=2, keepdim=True)
    return RoundedTokens(round_blocks(keys - mean, KEY_BLOCK), _round_channels(v.float()), mean)


def round_blocks(x: Tensor, block: int) -> Rounded:
    """Round tokens, [B, n, L, d], to int8, with a scale for each block of them."""
    parts = x.split(block, dim=2)
    scales = torch.cat([_scale(part, (2, 3), 127).expand_as(part[..., :1]) for part in parts], dim=2)
    return Rounded((x / scales).round().to(torch.int8), scales)


def _round_channels(v: Tensor) -> Rounded:
    scales = _scale(v, (2,), LARGEST)
    return Rounded((v / scales).to(FP8), scales)


def _scale(x: Tensor, dims: tuple[int, ...], largest: float) -> Tensor:
    return x.abs().amax(dim=dims, keepdim=True).clamp_min(_LEAST_SCALE) / largest
