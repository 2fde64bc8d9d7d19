"""Streams of video pieces for training the autoencoder, and measuring it on held-out ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.data import HELD_OUT_SEED
from worldplay.model.bt709 import HALF_RANGE
from worldplay.model.vae import StreamingVAE
from worldplay.world.pixels import pixels_to_frames

Frames = NDArray[np.uint8]  # [n, H, W, 3]


@dataclass(frozen=True, slots=True)
class Piece:
    """The next frames of B streams that began together: pixels [B, 3, F, H, W] in [-1, 1]."""

    pixels: Tensor
    starts: bool


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The number of parallel streams, the frames per piece, the most pieces per stream, and the size."""

    num_streams: int
    frames_per_piece: int
    longest: int
    height: int
    width: int


class Videos:
    """The training walks in a folder; new ones may still be added. On a GPU they are kept in its memory."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder, self._device = folder, device
        self._known: dict[Path, Tensor] = {}

    def read(self) -> list[Tensor]:
        """Return the walks, [F, H, W, 3] uint8 each."""
        for path in _walks(self._folder, held_out=False):
            if path not in self._known:
                # mode c, because torch warns of read-only arrays
                self._known[path] = torch.from_numpy(np.load(path, mmap_mode="c")).to(self._device)
        return list(self._known.values())


def draw_pieces(videos: Videos, seed: int, plan: StreamPlan) -> Iterator[Piece]:
    """Cut streams out of training walks, for ever."""
    rng = np.random.default_rng(seed)
    while True:
        num_pieces = int(rng.integers(2, plan.longest + 1))
        num_frames = 1 + num_pieces * plan.frames_per_piece
        walks = videos.read()
        clips = [
            _cut(rng, walks[i], num_frames, plan) for i in rng.integers(len(walks), size=plan.num_streams)
        ]
        sizes = [1 + plan.frames_per_piece] + [plan.frames_per_piece] * (num_pieces - 1)
        for i, piece in enumerate(torch.stack(clips).split_with_sizes(sizes, 1)):
            yield Piece(rearrange(piece, "b f h w c -> b c f h w").float() / 127.5 - 1, starts=i == 0)


def load_held_out(folder: Path, num_walks: int, num_frames: int) -> list[Frames]:
    """Load the beginnings of the first held-out walks."""
    return [np.array(np.load(path, mmap_mode="r")[:num_frames]) for path in _walks(folder, True)[:num_walks]]


def _walks(folder: Path, held_out: bool) -> list[Path]:
    walks = sorted(path for path in folder.glob("*.npy") if path.stem.isdigit())
    walks = [path for path in walks if (int(path.stem) >= HELD_OUT_SEED) == held_out]
    if not walks:
        raise ValueError(f"expected rendered walks (SEED.npy) in {folder}, got none")
    return walks


def _cut(rng: np.random.Generator, walk: Tensor, num_frames: int, plan: StreamPlan) -> Tensor:
    t, y, x = (
        int(rng.integers(have - want + 1))
        for have, want in zip(walk.shape, (num_frames, plan.height, plan.width), strict=False)
    )
    return walk[t : t + num_frames, y : y + plan.height, x : x + plan.width]


@torch.inference_mode()
def reconstruct(vae: StreamingVAE, frames: Frames) -> tuple[Frames, Tensor]:
    """Send a video of 1 + 4n frames through encoder and decoder, latent by latent.

    Returns: the frames that come out, and the latents [1, C, T, h, w], scaled.
    """
    pixels = frames_to_pixels(frames[None]).to(next(vae.parameters()).device)
    encoder, decoder = vae.new_encoder_state(), vae.new_decoder_state()
    sizes = [1] + [4] * ((len(frames) - 1) // 4)
    latents = [vae.encode_frames(piece, encoder) for piece in pixels.split_with_sizes(sizes, 2)]
    decoded = torch.cat([vae.decode_latent(latent, decoder) for latent in latents], 2)
    return pixels_to_frames(decoded[0]), torch.cat(latents, 2)


def psnr(frames: Frames, expected: Frames) -> NDArray[np.float64]:
    """Return the PSNR in dB of each frame of [F, H, W, 3]."""
    error = (frames.astype(np.float64) - expected.astype(np.float64)) / 255
    return -10 * np.log10(np.square(error).mean(axis=(1, 2, 3)) + 1e-12)


def save_strip(path: Path, rows: list[Frames]) -> None:
    """Save a picture of rows of frames."""
    Image.fromarray(np.concatenate([np.concatenate(list(row), axis=1) for row in rows])).save(path)


def frames_to_pixels(frames: NDArray[np.uint8]) -> Tensor:
    """Convert frames [..., F, H, W, 3] uint8 RGB to clips [..., 3, F, H, W] float32 in [-1, 1], on CPU."""
    return rearrange(torch.from_numpy(frames), "... f h w c -> ... c f h w").float() / HALF_RANGE - 1
