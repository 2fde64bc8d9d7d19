"""Measures whether pixels should be converted to YUV on the GPU, before they are copied to the host."""

import numpy as np
import torch
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from gpu.setup import Row, Setup
from worldplay.world.pixels import pixels_to_frames, pixels_to_planes


def convert_on_host(frames: NDArray[np.uint8], reformatter: VideoReformatter) -> list[VideoFrame]:
    """Convert frames [F, H, W, 3] as the encoder does."""
    return [
        reformatter.reformat(
            VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="rgb24"),
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
    clip, reformatter = pixels.movedim(1, 0), VideoReformatter()

    def through_rgb() -> list[VideoFrame]:
        return convert_on_host(pixels_to_frames(clip), reformatter)

    def through_yuv() -> list[VideoFrame]:
        return [VideoFrame.from_ndarray(f, format="yuv420p") for f in pixels_to_planes(clip)]

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
