"""Converts between 8-bit RGB pictures and the float tensors that the models take."""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from worldplay.model.bt709 import BLACK, CHROMA_RANGE, GREY, HALF_RANGE, LUMA_RANGE, to_chroma, to_luma
from worldplay.model.vae_planes import Planes
from worldplay.world.device import synchronize


def image_to_pixels(image: Image.Image) -> Tensor:
    """Convert an RGB image to a clip of one frame: [1, 3, 1, H, W] float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32)) / 255
    return rearrange(pixels * 2 - 1, "h w c -> 1 c 1 h w")


def pixels_to_frames(pixels: Tensor) -> NDArray[np.uint8]:
    """Convert clips [..., 3, F, H, W] in [-1, 1] to frames [..., F, H, W, 3] uint8 RGB."""
    if pixels.device.type != "cpu":
        return copy_to_host(rearrange(_to_levels(pixels), "... c f h w -> ... f h w c").contiguous())
    # One frame after the other, which takes less memory. NumPy copies bytes twice as fast as PyTorch.
    levels = (np.moveaxis(_to_levels(frame).numpy(), -3, 0) for frame in pixels.unbind(-3))
    return np.stack([np.stack(list(colours), axis=-1) for colours in levels], axis=-4)


def pixels_to_planes(pixels: Tensor) -> NDArray[np.uint8]:
    """Convert a clip [3, F, H, W] in [-1, 1] to what x264 reads, half as many bytes as RGB.

    It differs by at most one level from what swscale makes of RGB frames.

    Returns: [F, 3 * H / 2, W] uint8, BT.709 in limited range, 4:2:0: H rows of luma, then both chroma planes.
    """
    red, green, blue = _to_levels(pixels).float().div(255).unbind(0)
    luma = to_luma(red, green, blue)
    small = _halve_rows(F.avg_pool2d(to_chroma(luma, red, blue, dim=1), (1, 2))).mul(CHROMA_RANGE).add(GREY)
    planes = torch.cat([luma.mul(LUMA_RANGE).add(BLACK).flatten(1), small.flatten(1)], dim=1)
    return copy_to_host(planes.round().to(torch.uint8).view(len(planes), -1, pixels.shape[-1]))


def planes_to_bytes(planes: Planes) -> NDArray[np.uint8]:
    """Convert planes on a CPU to limited range. Returns: as pixels_to_planes."""
    _, num_frames, height, width = planes.luma.shape
    joined = np.empty((num_frames, 3 * height // 2, width), dtype=np.uint8)
    for frame, luma, chroma in zip(joined, planes.luma[0], planes.chroma[0].movedim(1, 0), strict=True):
        frame[:height] = luma.mul(LUMA_RANGE / 255).add_(BLACK + 0.5).numpy()  # half more, as below
        frame[height:] = chroma.mul(CHROMA_RANGE / 255).add_(GREY + 0.5).numpy().reshape(-1, width)
    return joined


def copy_to_host(tensor: Tensor) -> NDArray[np.uint8]:
    """Copy to the host's memory; from a GPU to pages that it writes directly."""
    if tensor.device.type != "cuda":
        return tensor.cpu().numpy()
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    copy.copy_(tensor, non_blocking=True)
    synchronize(tensor.device)
    return copy.numpy()


def _to_levels(pixels: Tensor) -> Tensor:
    half_more = HALF_RANGE + 0.5  # because fractions are cut off
    levels = pixels.detach().float().mul(HALF_RANGE).add_(half_more)
    if levels.device.type != "cpu":
        return levels.to(torch.uint8)
    return torch.from_numpy(levels.numpy().astype(np.uint8))  # four times as fast as torch's conversion


def _halve_rows(planes: Tensor) -> Tensor:
    """Filter every two rows to one, [..., H, W] to [..., H / 2, W], as swscale does: by 1, 3, 3 and 1."""
    padded = F.pad(planes, (0, 0, 1, 1), mode="replicate")
    first, second, third = padded[..., :-2:2, :], padded[..., 1:-1:2, :], padded[..., 2::2, :]
    fourth = padded[..., 3::2, :]
    return (first + 3 * (second + third) + fourth) / 8
