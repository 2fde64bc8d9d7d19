"""Measures whether pixels should be converted to YUV on the GPU, before they are copied to the host."""

import numpy as np
import torch
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor

from gpu.setup import Row, Setup

_RED, _GREEN, _BLUE = 0.2126, 0.7152, 0.0722  # BT.709


def to_yuv420(pixels: Tensor) -> Tensor:
    """Convert pixels to BT.709 in limited range, as a decoder's planes.

    Args:
        pixels: [F, 3, H, W] in [-1, 1].
    Returns: [F, 3 * H / 2, W] uint8: H rows of luma, then both chroma planes, as PyAV lays out yuv420p.
    """
    red, green, blue = pixels.float().add(1).mul(0.5).unbind(1)
    luma = _RED * red + _GREEN * green + _BLUE * blue
    chroma = [(blue - luma) / (2 - 2 * _BLUE), (red - luma) / (2 - 2 * _RED)]
    small = [reduce(c, "f (h p) (w q) -> f h w", "mean", p=2, q=2) * 224 + 128 for c in chroma]
    planes = [
        rearrange(luma * 219 + 16, "f h w -> f (h w)"),
        *(rearrange(c, "f h w -> f (h w)") for c in small),
    ]
    flat = torch.cat(planes, dim=1).round().clamp(0, 255).to(torch.uint8)
    return flat.view(pixels.shape[0], -1, pixels.shape[3])


def to_rgb(pixels: Tensor) -> Tensor:
    """Convert pixels as the server does: [F, H, W, 3] uint8 RGB."""
    return rearrange(
        pixels.float().add(1).mul(127.5).round().to(torch.uint8), "f c h w -> f h w c"
    ).contiguous()


def convert_on_host(frames: NDArray[np.uint8], reformatter: VideoReformatter) -> list[VideoFrame]:
    """Convert frames [F, H, W, 3] as the encoder does."""
    return [
        reformatter.reformat(
            VideoFrame.from_numpy_buffer(frame, format="rgb24"),
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        for frame in frames
    ]


@torch.inference_mode()
def measure_pictures(setup: Setup) -> list[Row]:
    """Time four frames, from pixels in the decoder's dtype to frames for x264."""
    height, width = setup.size
    pixels = torch.rand(4, 3, height // 2, width // 2, device=setup.device)
    pixels = torch.nn.functional.interpolate(pixels, (height, width)).mul(2).sub(1).to(setup.dtype)
    reformatter = VideoReformatter()

    def through_rgb() -> list[VideoFrame]:
        return convert_on_host(to_rgb(pixels).cpu().numpy(), reformatter)

    def through_yuv() -> list[VideoFrame]:
        return [VideoFrame.from_ndarray(f, format="yuv420p") for f in to_yuv420(pixels).cpu().numpy()]

    pairs = zip(through_rgb(), through_yuv(), strict=True)
    differences = [np.abs(a.to_ndarray().astype(int) - b.to_ndarray()).mean() for a, b in pairs]
    return [
        {
            "way": "RGB to the host, swscale there",
            "ms": setup.median_ms(through_rgb),
            "bytes": pixels.numel(),
        },
        {"way": "YUV on the device", "ms": setup.median_ms(through_yuv), "bytes": pixels.numel() // 2},
        {"way": "mean difference, levels", "levels": float(np.mean(differences))},
    ]
