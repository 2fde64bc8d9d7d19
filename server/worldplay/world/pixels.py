"""Converts between 8-bit RGB pictures and the float tensors that the models take."""

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def image_to_pixels(image: Image.Image) -> Tensor:
    """Convert an RGB image to a clip of one frame: [1, 3, 1, H, W] float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32)) / 255
    return rearrange(pixels * 2 - 1, "h w c -> 1 c 1 h w")


def frames_to_pixels(frames: NDArray[np.uint8]) -> Tensor:
    """Convert frames [..., F, H, W, 3] uint8 RGB to clips [..., 3, F, H, W] float32 in [-1, 1], on CPU."""
    return rearrange(torch.from_numpy(frames), "... f h w c -> ... c f h w").float() / 127.5 - 1


def pixels_to_frames(pixels: Tensor) -> NDArray[np.uint8]:
    """Convert clips [..., 3, F, H, W] in [-1, 1] to frames [..., F, H, W, 3] uint8 RGB."""
    scaled = pixels.float().add(1).mul(127.5).round().to(torch.uint8)
    return rearrange(scaled, "... c f h w -> ... f h w c").cpu().numpy()
