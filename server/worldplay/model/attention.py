"""Scaled dot-product attention: the only attention function of the transformer."""

import torch
import torch.nn.functional as F
from torch import Tensor

SDPA = "sdpa"
MATMUL = (
    "matmul"  # plain products: in bf16 on a CPU three times faster to train than SDPA, whose backward is slow
)


def attend(q: Tensor, k: Tensor, v: Tensor, backend: str = SDPA, mask: Tensor | None = None) -> Tensor:
    """Attend from q, [B, n, Lq, d], to k and v, [B, n, Lk, d]. The blocks use no mask.

    Args:
        backend: SDPA, MATMUL, or a name of diffusers' attention dispatcher ("flash", "sage", ...).
        mask: [B, 1 or n, Lq, Lk] bool, True where a pair is visible; SDPA only.
    Returns: [B, n, Lq, d].
    """
    if backend == SDPA:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert mask is None, "only SDPA takes masks"
    if backend == MATMUL:
        return torch.softmax((q * q.shape[-1] ** -0.5) @ k.mT, dim=-1) @ v
    return _dispatch(q, k, v, backend)


def _dispatch(q: Tensor, k: Tensor, v: Tensor, backend: str) -> Tensor:
    # Imported here: it tries to import every known attention package, which SDPA does not need.
    from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn

    heads_last = [x.transpose(1, 2) for x in (q, k, v)]
    return dispatch_attention_fn(*heads_last, backend=AttentionBackendName(backend)).transpose(1, 2)
