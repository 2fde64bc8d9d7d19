"""What a CPU computes faster in other operations than a GPU: parts of the video autoencoder."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from worldplay.model.packing import inputs_first
from worldplay.model.vae_layers import Decoder


def convolve(conv: nn.Conv3d, surrounded: Tensor) -> Tensor:
    """Convolve what has its past and its edges, without padding, in the fastest way."""
    if torch.is_grad_enabled() or not _has_few_positions(conv, surrounded):
        return _convolve_by_taps(conv, surrounded) if surrounded.dtype == torch.float32 else conv(surrounded)
    return _convolve_by_product(conv, surrounded)


def _has_few_positions(conv: nn.Conv3d, surrounded: Tensor) -> bool:
    """Return whether there are at most as many output positions as channels.

    Then a convolution spends most of its time with reordering its weights.
    """
    frames, height, width = surrounded.shape[2:]
    return (frames + 1 - conv.kernel_size[0]) * (height - 2) * (width - 2) <= conv.out_channels


def _convolve_by_product(conv: nn.Conv3d, surrounded: Tensor) -> Tensor:
    """Compute a 3-D convolution as one product: a row for each position, with all that it sees."""
    seen = surrounded.unfold(2, conv.kernel_size[0], 1).unfold(3, 3, 1).unfold(4, 3, 1)
    rows = rearrange(seen, "b c t h w i j k -> b t h w (i j k c)")
    out = F.linear(rows, rearrange(conv.weight, "o c i j k -> o (i j k c)"), conv.bias)
    return out.movedim(-1, 1)


def _convolve_by_taps(conv: nn.Conv3d, surrounded: Tensor) -> Tensor:
    """Compute a 3-D convolution as the sum of one 2-D convolution for each tap in time.

    In float32 Conv3d uses a path without blocking, at a third of the speed of Conv2d.
    """
    batch, _, frames, _, _ = surrounded.shape
    taps = conv.weight.unbind(2)
    num_frames = frames + 1 - len(taps)
    stream = rearrange(surrounded, "b c t h w -> b t c h w")
    out: Tensor | None = None
    for start, tap in enumerate(taps):
        part = stream[:, start : start + num_frames].flatten(0, 1)
        seen = F.conv2d(part, tap, conv.bias if out is None else None)
        out = seen if out is None else out.add_(seen)
    assert out is not None
    return rearrange(out, "(b t) c h w -> b c t h w", b=batch)


def lay_out_for_products(decoder: Decoder, num_positions: int) -> None:
    """Store the weights of convolutions that are computed as products as `inputs_first` does.

    Args:
        num_positions: of a latent. Behind the first upsampling there are too many for products.
    """
    seeing_latents = decoder.conv_in, decoder.mid_block, decoder.up_blocks[0]
    for layer in (layer for part in seeing_latents for layer in part.modules()):
        if isinstance(layer, nn.Conv3d) and num_positions <= layer.out_channels:
            matrix = inputs_first(rearrange(layer.weight.data, "o c i j k -> o (i j k c)"))
            times, height, width = layer.kernel_size
            layer.weight.data = rearrange(matrix, "o (i j k c) -> o c i j k", i=times, j=height, k=width)


def project(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """Compute a convolution that sees one position, in half the time of a convolution."""
    return F.linear(x.movedim(1, -1), conv.weight.flatten(1), conv.bias).movedim(-1, 1)


def norm_and_silu(x: Tensor, gamma: Tensor, epsilon: float, out: Tensor) -> None:
    """Write a norm over channels and SiLU, computed in float32: in bf16 that takes twice as long."""
    normed = rms_norm(x.float(), gamma, epsilon)
    if out.dtype == normed.dtype:
        torch.ops.aten.silu.out(normed, out=out)
    else:
        out.copy_(F.silu(normed, inplace=True))


def rms_norm(x: Tensor, gamma: Tensor, epsilon: float) -> Tensor:
    """Apply a norm over channels.

    Without gradients dividing by lengths is fastest. With them it is a mean by a 1x1x1 convolution, forward
    and backward.
    """
    channels = x.shape[1]
    if torch.is_grad_enabled():
        average = torch.full((1, channels, 1, 1, 1), 1 / channels, dtype=x.dtype)
        return x * torch.rsqrt(F.conv3d(x * x, average) + epsilon) * gamma
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True) * channels**-0.5
    return (x * (length + epsilon**0.5).reciprocal()).mul_(gamma)


def add_and_unfold(h: Tensor, x: Tensor, repeats: int, times: int) -> Tensor:
    """Compute what vae_stream's _unfold_time_and_add does, in operations whose inner loops are contiguous."""
    added = repeat(x, "b c t h w -> b t h w (c n)", n=repeats).add_(h.movedim(1, -1))
    folded = "b t h w (r p q c) -> b (t r) (h p) (w q) c"
    return rearrange(added, folded, r=times, p=2, q=2).movedim(-1, 1)


def unfold_patches(x: Tensor, side: int) -> Tensor:
    """Arrange [B, (C side side), T, h, w] as pixels, [B, C, T, h * side, w * side].

    Each row of a patch is copied as one number: one by one, its pixels take five times as long.
    """
    kind = {4: torch.int32, 8: torch.int64, 16: torch.complex128}.get(side * x.element_size())
    folded = x.movedim(1, -1)
    *strides, innermost = folded.stride()
    whole = innermost == 1 and not any(start % side for start in (*strides, x.storage_offset()))
    if kind is None or torch.is_grad_enabled() or not whole:
        return rearrange(x, "b (c p q) t h w -> b c t (h p) (w q)", p=side, q=side)
    rows = folded.view(kind)
    return rearrange(rows, "b t h w (c p) -> b c t (h p) w", p=side).contiguous().view(x.dtype)
