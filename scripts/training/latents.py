"""Encodes rendered walks by the trained VAE, each as one stream."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from training.data import HEIGHT, WIDTH
from worldplay.model.vae import StreamingVAE
from worldplay.world.court import START_VIEWS, render

_PIECE = 16  # frames that go through at once: few enough to stay in the processor's cache


def to_pixels(frames: NDArray[np.uint8], vae: StreamingVAE) -> Tensor:
    """[n, H, W, 3] RGB -> [1, 3, n, H, W] in [-1, 1], where the VAE is and in its dtype."""
    weight = next(vae.parameters())
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).to(weight.device, weight.dtype)
    return rearrange(pixels / 127.5 - 1, "f h w c -> 1 c f h w")


@torch.inference_mode()
def encode_walk(vae: StreamingVAE, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Latents [T, C, h, w] of a walk's 1 + 4 (T - 1) frames, scaled."""
    state = vae.new_encoder_state()
    starts = [0, *range(1, len(frames), _PIECE)]
    pieces = [frames[start:end] for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)]
    latents = torch.cat([vae.encode_frames(to_pixels(piece, vae), state) for piece in pieces], dim=2)
    return rearrange(latents, "1 c t h w -> t c h w").half().cpu().numpy()


def encode_walks(vae: StreamingVAE, walks: Path, latents: Path, seeds: list[int]) -> Iterator[int]:
    """Encode the walks that are not encoded yet, as SEED.npy, and the start views; yields each seed."""
    latents.mkdir(parents=True, exist_ok=True)
    views = render(np.stack([view.c2w for view in START_VIEWS]), HEIGHT, WIDTH)
    np.save(latents / "views.npy", np.concatenate([encode_walk(vae, view[None]) for view in views]))
    for seed in seeds:
        path = latents / f"{seed}.npy"
        if not path.exists():
            encoded = encode_walk(vae, np.load(walks / f"{seed}.npy", mmap_mode="r"))
            partial = path.with_suffix(".partial.npy")
            np.save(partial, encoded)
            partial.rename(path)
        yield seed
