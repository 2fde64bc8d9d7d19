"""Scaled dot-product attention: the only attention function of the transformer, and its backends."""

from collections.abc import Callable
from functools import cache
from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from worldplay.model.eight_bit_attention import attend_in_eight_bits

SDPA = "sdpa"  # PyTorch's own choice among its kernels
MATMUL = "matmul"  # plain products: in bf16 on a CPU faster than SDPA, forwards and above all backwards
FLASHINFER = "flashinfer"
_VECTOR = 32  # numbers in bf16, of AVX-512
EIGHT_BITS = "8-bit"  # emulated: slow, for its error alone
KERNELS = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "sdpa-math": SDPBackend.MATH,
}


def is_in_eight_bits(backend: str) -> bool:
    return backend == EIGHT_BITS or "sage" in backend


def attend(q: Tensor, k: Tensor, v: Tensor, backend: str = SDPA, mask: Tensor | None = None) -> Tensor:
    """Attend from q, [B, n, Lq, d], to k and v, [B, n, Lk, d]. The blocks use no mask.

    Args:
        backend: SDPA, MATMUL, FLASHINFER, EIGHT_BITS, a key of KERNELS, or a name of diffusers' attention
            dispatcher ("flash", "_flash_3", "sage", ...).
        mask: [B, 1 or n, Lq, Lk] bool, True where a pair is visible; SDPA only.
    Returns: [B, n, Lq, d].
    """
    if backend == SDPA:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert mask is None, "only SDPA takes masks"
    if backend == MATMUL:
        if k.dtype == torch.bfloat16 and not torch.is_grad_enabled():
            return _attend_to_whole_vectors(q, k, v)
        rows = k.contiguous() if k.dtype == torch.bfloat16 else k
        return torch.softmax((q * q.shape[-1] ** -0.5) @ rows.mT, dim=-1) @ v
    if backend == EIGHT_BITS:
        return attend_in_eight_bits(q, k, v)
    if backend in KERNELS:
        with sdpa_kernel(KERNELS[backend]):
            return F.scaled_dot_product_attention(q, k, v)
    return _with_tokens_first(_flashinfer if backend == FLASHINFER else _dispatcher(backend), q, k, v)


def _attend_to_whole_vectors(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend by plain products, with keys that fill a CPU's vectors: else a softmax takes half as long again.

    A product would copy keys and values anyway if they are slices of a cache.
    """
    length = k.shape[2]
    keys, values = (_fill_up(part, length + -length % _VECTOR) for part in (k, v))
    scores = (q * q.shape[-1] ** -0.5) @ keys.mT
    scores[..., length:] = -torch.inf
    return torch.softmax(scores, dim=-1) @ values


def _fill_up(tokens: Tensor, length: int) -> Tensor:
    """Copy tokens, [B, n, L, d], and add zeros up to a length."""
    batch, heads, before, width = tokens.shape
    filled = tokens.new_empty(batch, heads, length, width)
    filled[:, :, :before] = tokens
    filled[:, :, before:] = 0
    return filled


def _with_tokens_first(function: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return function(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)


@cache
def _dispatcher(name: str) -> Callable[..., Tensor]:
    # Imported here: it tries to import every known attention package, which the others do not need.
    from diffusers.models.attention_dispatch import (
        AttentionBackendName,
        attention_backend,
        dispatch_attention_fn,
    )

    backend = AttentionBackendName(name)
    with attention_backend(backend):  # loads the kernels of those that lie on the hub
        pass

    def dispatch(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return dispatch_attention_fn(q, k, v, backend=backend)

    return dispatch


def _flashinfer(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    attend_once = import_module("flashinfer").single_prefill_with_kv_cache  # an optional package for CUDA
    samples = [attend_once(*sample) for sample in zip(q, k, v, strict=True)]
    return samples[0][None] if len(samples) == 1 else torch.stack(samples)
