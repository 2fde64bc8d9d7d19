"""One Triton kernel that prepares the input of a decoder's convolution: norm, SiLU, past and edges.

Plain operations read and write the tensor five times; this reads and writes it once. Import it only where
there is Triton.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from worldplay.model.config import PAST_FRAMES
from worldplay.model.vae_stream import TINY

_ELEMENTS = 4096  # of a program


@triton.jit
def _surround_kernel(  # type: ignore[no-untyped-def]  # Triton's types: pointers and constants
    x,
    gamma,
    past,
    out,
    count,
    height,
    width,
    channels,
    past_frames: tl.constexpr,
    epsilon: tl.constexpr,
    rows: tl.constexpr,
    columns: tl.constexpr,
):
    """Write a block of positions, [rows, channels], to where a convolution reads them, edges included."""
    place = tl.program_id(0) * rows + tl.arange(0, rows)
    channel = tl.arange(0, columns)
    exists = (place < count)[:, None] & (channel < channels)[None, :]
    area = height * width
    frame, row, column = place // area, place % area // width, place % width
    is_past = (frame < past_frames)[:, None]
    source = place.to(tl.int64)[:, None] * channels + channel[None, :]
    before = tl.load(past + source, mask=exists & is_past, other=0.0)
    value = tl.load(x + source - past_frames * area * channels, mask=exists & ~is_past, other=0.0)
    value = value.to(tl.float32)
    mean = tl.sum(value * value, axis=1) / channels
    weight = tl.load(gamma + channel, mask=channel < channels, other=0.0).to(tl.float32)
    normal = value * tl.rsqrt(mean + epsilon)[:, None] * weight[None, :]
    result = tl.where(is_past, before, (normal * tl.sigmoid(normal)).to(before.dtype))
    for down in tl.static_range(3):  # the row itself, and the edges that repeat it
        for right in tl.static_range(3):
            here, to_row, to_column = exists, row + 1, column + 1
            if down == 1:
                here, to_row = here & (row == 0)[:, None], row * 0
            if down == 2:
                here, to_row = here & (row == height - 1)[:, None], row + 2
            if right == 1:
                here, to_column = here & (column == 0)[:, None], column * 0
            if right == 2:
                here, to_column = here & (column == width - 1)[:, None], column + 2
            target = (frame.to(tl.int64) * (height + 2) + to_row) * (width + 2) + to_column
            tl.store(out + target[:, None] * channels + channel[None, :], result, mask=here)


def fused_surround(x: Tensor, gamma: Tensor, past: Tensor) -> Tensor:
    """Put a past before x, [1, C, T, H, W], after its norm and SiLU, and repeat the edges.

    Args: gamma: of the norm; past: [1, C, 2, H, W].
    """
    _, channels, frames, height, width = x.shape
    last = torch.channels_last_3d
    shape = 1, channels, PAST_FRAMES + frames, height + 2, width + 2
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=last)
    count, columns = (PAST_FRAMES + frames) * height * width, triton.next_power_of_2(channels)
    rows = max(1, _ELEMENTS // columns)
    with torch.cuda.device_of(x):  # Triton takes the thread's own device, not that of the tensors
        _surround_kernel[(triton.cdiv(count, rows),)](
            x.contiguous(memory_format=last),
            gamma,
            past.contiguous(memory_format=last),
            out,
            count,
            height,
            width,
            channels,
            past_frames=PAST_FRAMES,
            epsilon=TINY,
            rows=rows,
            columns=columns,
        )
    return out
