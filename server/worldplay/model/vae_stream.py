"""Runs a causal video autoencoder piece by piece: its layers, with the past that they need."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from math import ceil

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from torch import Tensor, nn

from worldplay.model import vae_on_cpu
from worldplay.model.config import PAST_FRAMES
from worldplay.model.ranks import ALONE, Ranks
from worldplay.model.vae_layers import (
    CausalConv,
    ChannelNorm,
    Decoder,
    Downsample,
    Encoder,
    Layer,
    Layers,
    Middle,
    PositionAttention,
    Residual,
    Upsample,
)

TINY = 1e-24  # keeps the norm of an all-zero position finite

Activation = Callable[[Tensor, Tensor], object]  # from a tensor to another one of its shape
Prepare = Callable[[Tensor, Tensor, Tensor], Tensor]  # of x, gamma and the past: see fused_norm


@dataclass(eq=False)  # without slots, so that it can be referred to weakly
class FeatureCache:
    """The past of one stream: the last two input frames of every causal convolution, in execution order."""

    slots: list[Tensor] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not self.slots

    @property
    def num_bytes(self) -> int:
        return sum(slot.nbytes for slot in self.slots)

    def clone(self) -> "FeatureCache":
        return FeatureCache([slot.clone() for slot in self.slots])

    def detach(self) -> "FeatureCache":
        """Stop gradients here, for training; shares memory."""
        return FeatureCache([slot.detach() for slot in self.slots])


class Pass:
    """One piece of a stream in the network: reads the old past, and collects the new one."""

    def __init__(self, cache: FeatureCache, *, in_place: bool = False) -> None:
        """Args: in_place: write the new past over the old one, whose tensors stay where they are."""
        self.first = cache.is_empty
        self.ranks: Ranks = ALONE  # which share the rows
        self.prepare: Prepare | None = None  # what norms, activates and surrounds in one kernel
        self._old = cache.slots
        self._new: list[Tensor] = []
        self._in_place = in_place

    def past(self) -> Tensor | None:
        """Return the two frames before the next convolution's input; None if it has none yet."""
        place = len(self._new)
        return self._old[place] if place < len(self._old) else None

    def remember(self, frames: Tensor) -> None:
        """Keep the last frames, as a copy: a view would keep the whole tensor alive."""
        latest = frames[:, :, -PAST_FRAMES:]
        if self._in_place:
            self._new.append(self._old[len(self._new)].copy_(latest))
        else:
            self._new.append(latest.clone(memory_format=torch.channels_last_3d))

    def commit(self, cache: FeatureCache) -> None:
        cache.slots = self._new


def encode(encoder: Encoder, x: Tensor, cache: FeatureCache) -> Tensor:
    """Encode the next piece of a stream to moments.

    Args:
        x: [B, C, F, H, W]; F = 1 if the cache is empty, else a multiple of 4.
        cache: updated in place once the piece is through.
    Returns: [B, 2 * latent channels, T, h, w]; mean, then log-variance.
    """
    run = Pass(cache)
    x = _causal_conv(encoder.conv_in, x, run)
    for block in encoder.down_blocks:
        x = _level(block.resnets, block.downsamplers, x, run, _downsample)
    x = _middle(encoder.mid_block, x, run)
    shortcut = reduce(x, "b (c g) t h w -> b c t h w", "mean", g=encoder.group_size)
    x = _normed_conv(encoder.norm_out, encoder.conv_out, x, run) + shortcut
    run.commit(cache)
    return x


def decode(
    decoder: Decoder,
    z: Tensor,
    cache: FeatureCache,
    ranks: Ranks = ALONE,
    prepare: Prepare | None = None,
    *,
    in_place: bool = False,
    head: CausalConv | None = None,
) -> Tensor:
    """Decode the next latents of a stream.

    Several ranks share the rows from the first upsampling on. What comes before is cheap, and attends to all
    rows, so every rank does it.

    Args:
        z: [B, C, T, h, w]; T = 1 if the cache is empty.
        cache: updated in place once the latents are through.
        prepare: makes the input of a convolution in one kernel; None: plain operations do.
        in_place: write over the cache's tensors, on the way; not at the start of a stream.
        head: instead of the decoder's last convolution.
    Returns: [B, output channels, 1 | 4 * T, H, W]; not clamped; all rows on rank 0.
    """
    run = Pass(cache, in_place=in_place)
    run.prepare = prepare
    x = _up(decoder, z, run, len(decoder.up_blocks), ranks)
    x = _normed_conv(decoder.norm_out, head or decoder.conv_out, x, run)
    run.commit(cache)
    return run.ranks.all_rows(x, z.shape[3])


def remember(
    decoder: Decoder,
    z: Tensor,
    cache: FeatureCache,
    num_levels: int,
    ranks: Ranks = ALONE,
) -> None:
    """Do what `decode` does, but only in the first levels, and keep only the past.

    Where a later level begins in mid-stream, the first frame that it gets stands for the past.
    """
    run = Pass(cache)
    _up(decoder, z, run, num_levels, ranks)
    run.commit(cache)


def _up(decoder: Decoder, z: Tensor, run: Pass, num_levels: int, ranks: Ranks) -> Tensor:
    """Run the decoder up to the end of level `num_levels`; without any, only its middle."""
    shortcut = repeat(z, "b c t h w -> b (c r) t h w", r=decoder.repeat)
    x = _causal_conv(decoder.conv_in, z, run) + shortcut
    x = _middle(decoder.mid_block, x, run)
    if ranks.has_rows(z.shape[3]):
        run.ranks = ranks
    x = run.ranks.own_rows(x)
    for block in islice(decoder.up_blocks, num_levels):
        x = _level(block.resnets, block.upsamplers, x, run, _upsample)
    return x


def reaches(decoder: Decoder) -> list[int]:
    """Count how many past latents each level must have seen, so that older ones do not matter.

    The first number is of the whole decoder, the last one of its head. Every causal convolution needs
    PAST_FRAMES more frames; after a temporal upsampling a latent has twice as many frames.
    """
    frames, needed = 1, [1.0 + 2 * len(decoder.mid_block.resnets)]  # convolutions, by frames of a latent
    for block in decoder.up_blocks:
        needed.append(_count_causal(block) / frames)
        frames *= 2 ** sum(layer.add_temporal_upsample for layer in block.upsamplers or ())
    needed.append(_count_causal(decoder.conv_out) / frames)
    return [ceil(PAST_FRAMES * sum(needed[level:])) for level in range(len(needed))]


def _count_causal(part: nn.Module) -> int:
    return sum(isinstance(layer, CausalConv) and not layer.is_still for layer in part.modules())


def _causal_conv(layer: CausalConv, x: Tensor, run: Pass) -> Tensor:
    return _convolve(layer, x, run, _copy)


def _normed_conv(norm: ChannelNorm, layer: CausalConv, x: Tensor, run: Pass) -> Tensor:
    """Apply a norm, SiLU and a causal convolution."""
    past = None if layer.is_still else run.past()
    if run.prepare is not None and past is not None and not torch.is_grad_enabled():
        return _convolve_surrounded(layer, run.prepare(x, norm.gamma, past), run)
    if torch.is_grad_enabled():
        return _convolve(layer, F.silu(_rms_norm(norm, x)), run, _copy)
    return _convolve(layer, x, run, partial(_norm_and_silu, norm))


def _copy(x: Tensor, out: Tensor) -> None:
    out.copy_(x)


def _silu(x: Tensor, out: Tensor) -> None:
    torch.ops.aten.silu.out(x, out=out)


def _norm_and_silu(norm: ChannelNorm, x: Tensor, out: Tensor) -> None:
    if x.device.type == "cpu" and x.dtype != torch.float16:
        vae_on_cpu.norm_and_silu(x, norm.gamma, TINY, out)
    else:
        _silu(_rms_norm(norm, x), out)


def _convolve(layer: CausalConv, x: Tensor, run: Pass, activate: Activation) -> Tensor:
    """Convolve an activated x, and what came before it."""
    past = x[:, :, :0] if layer.is_still else run.past()
    if torch.is_grad_enabled():
        before = x[:, :, :1].expand(-1, -1, PAST_FRAMES, -1, -1) if past is None else past
        surrounded = _surround_for_gradients(before, x)
    else:
        surrounded = _surround(past, x, activate)
    return _convolve_surrounded(layer, surrounded, run)


def _convolve_surrounded(layer: CausalConv, surrounded: Tensor, run: Pass) -> Tensor:
    """Convolve what was put together, and remember its newest frames."""
    run.ranks.exchange_edges(surrounded)
    if not layer.is_still:
        run.remember(surrounded[..., 1:-1, 1:-1])
    if surrounded.device.type == "cpu":
        return vae_on_cpu.convolve(layer.conv, surrounded)
    return layer.conv(surrounded)


def _surround(past: Tensor | None, x: Tensor, activate: Activation = _copy) -> Tensor:
    """Put the past before an activated x, and repeat the edges in height and width.

    Each value is written once. Without a past (None), the first frame stands for it.
    """
    batch, channels, frames, height, width = x.shape
    before = PAST_FRAMES if past is None else past.shape[2]
    shape = batch, channels, before + frames, height + 2, width + 2
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last_3d)
    inner = out[..., 1:-1, 1:-1]
    activate(x, inner[:, :, before:])
    inner[:, :, :before] = inner[:, :, before : before + 1] if past is None else past
    # Both edges at once: rows 0 and height + 1 of rows 1 and height. A single row is both.
    out[..., :: height + 1, 1:-1] = out[..., 1 : height + 1 : max(1, height - 1), 1:-1]
    out[..., :: width + 1] = out[..., 1 : width + 1 : max(1, width - 1)]
    return out


def _surround_for_gradients(past: Tensor, x: Tensor) -> Tensor:
    """Do the same with two copies: backwards, each assignment above would copy the whole gradient."""
    extended = torch.cat([past, x.contiguous(memory_format=torch.channels_last_3d)], dim=2)
    return F.pad(extended, (1, 1, 1, 1, 0, 0), mode="replicate")


def _rms_norm(layer: ChannelNorm, x: Tensor) -> Tensor:
    """Apply a normalisation over channels.

    A GPU has one kernel for it, which computes in float32: squares of float16 would overflow.
    """
    if x.device.type == "cpu" and x.dtype != torch.float16:
        return vae_on_cpu.rms_norm(x, layer.gamma, TINY)
    return F.rms_norm(x.movedim(1, -1), (x.shape[1],), layer.gamma.view(-1), TINY).movedim(-1, 1)


def _residual(block: Residual, x: Tensor, run: Pass) -> Tensor:
    h = _normed_conv(block.norm1, block.conv1, x, run)
    h = _normed_conv(block.norm2, block.conv2, h, run)
    return h + x


def _level(
    residuals: Layers[Residual],
    resamplers: Layers[Layer] | None,
    x: Tensor,
    run: Pass,
    resample: Callable[[Layer, Tensor, Pass], Tensor],
) -> Tensor:
    for block in residuals:
        x = _residual(block, x, run)
    for layer in resamplers or ():
        x = resample(layer, x, run)
    return x


def _middle(middle: Middle, x: Tensor, run: Pass) -> Tensor:
    first, *rest = middle.resnets
    x = _residual(first, x, run)
    for attention, block in zip(middle.attentions, rest, strict=True):
        x = _residual(block, _attend_within_latents(attention, x), run)
    return x


def _attend_within_latents(layer: PositionAttention, x: Tensor) -> Tensor:
    """Apply single-head attention over the positions of each latent separately."""
    h = _rms_norm(layer.norm, x)
    q, k, v = (
        rearrange(_project(part, h), "b c t h w -> (b t) 1 (h w) c")
        for part in (layer.to_q, layer.to_k, layer.to_v)
    )
    h = F.scaled_dot_product_attention(q, k, v)
    h = rearrange(h, "(b t) 1 (h w) c -> b c t h w", b=x.shape[0], h=x.shape[3])
    return x + _project(layer.proj_out, h)


def _project(conv: nn.Conv3d, x: Tensor) -> Tensor:
    """Compute a convolution that sees one position."""
    return vae_on_cpu.project(conv, x) if x.device.type == "cpu" else conv(x)


def _downsample(layer: Downsample, x: Tensor, run: Pass) -> Tensor:
    h = _causal_conv(layer.conv, x, run)
    group = layer.group_size
    if not layer.add_temporal_downsample:
        return _fold(h) + _mean_of_groups(_fold(x), group)
    if run.first:  # a single frame has no partner in time and stands for both
        h = _fold(h)
        return torch.cat([h, h], dim=1) + _mean_of_groups(_fold(x), group // 2)
    return _fold_time(h) + _mean_of_groups(_fold_time(x), group)


def _upsample(layer: Upsample, x: Tensor, run: Pass) -> Tensor:
    h = _causal_conv(layer.conv, x, run)
    if layer.add_temporal_upsample and run.first:  # one frame stays one frame
        h = _unfold(h)
        return h[:, : h.shape[1] // 2] + _repeat_channels(_unfold(x), layer.repeats // 2)
    times = 2 if layer.add_temporal_upsample else 1
    if torch.is_grad_enabled():
        return _unfold_time(h, times) + _repeat_channels(_unfold_time(x, times), layer.repeats)
    if x.device.type != "cpu":
        return _unfold_time_and_add(h, x, layer.repeats, times)
    return vae_on_cpu.add_and_unfold(h, x, layer.repeats, times)


def _fold(x: Tensor) -> Tensor:
    return rearrange(x, "b c t (h p) (w q) -> b (p q c) t h w", p=2, q=2)


def _fold_time(x: Tensor) -> Tensor:
    return rearrange(x, "b c (t r) (h p) (w q) -> b (r p q c) t h w", r=2, p=2, q=2)


def _unfold(x: Tensor) -> Tensor:
    return rearrange(x, "b (p q c) t h w -> b c t (h p) (w q)", p=2, q=2)


def _unfold_time(x: Tensor, times: int) -> Tensor:
    return rearrange(x, "b (r p q c) t h w -> b c (t r) (h p) (w q)", r=times, p=2, q=2)


def _repeat_channels(x: Tensor, times: int) -> Tensor:
    return repeat(x, "b c t h w -> b (c r) t h w", r=times)


def _mean_of_groups(x: Tensor, size: int) -> Tensor:
    return reduce(x, "b (c g) t h w -> b c t h w", "mean", g=size)


def _unfold_time_and_add(h: Tensor, x: Tensor, repeats: int, times: int) -> Tensor:
    """Compute _unfold_time(h, times) + _repeat_channels(_unfold_time(x, times), repeats) in one operation."""
    batch, folded, frames, height, width = h.shape
    shape = batch, folded // (4 * times), times * frames, 2 * height, 2 * width
    out = torch.empty(shape, dtype=h.dtype, device=h.device, memory_format=torch.channels_last_3d)
    split = "b (r p q c n) t h w -> b c n t r h p w q"
    parts = (rearrange(each, split, r=times, p=2, q=2, n=n) for each, n in ((h, repeats), (x, 1)))
    joined = "b (c n) (t r) (h p) (w q) -> b c n t r h p w q"
    torch.add(*parts, out=rearrange(out, joined, n=repeats, r=times, p=2, q=2))
    return out
