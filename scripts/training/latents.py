"""Encodes rendered walks with the trained VAE, each as one stream."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from safetensors.torch import load_file

from training.vae_streams import frames_to_pixels
from training.walk_files import HEIGHT, WIDTH
from worldplay.model.vae import StreamingVAE
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.views import VIEWPOINTS

_PIECE = 16  # frames encoded at once: few enough for the processor's cache


@torch.inference_mode()
def encode_videos(vae: StreamingVAE, frames: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Encode walks of the same length to latents [n, T, C, h, w], scaled.

    Args:
        frames: [n, 1 + 4 (T - 1), H, W, 3] in the encoder's size.
    """
    state = vae.new_encoder_state()
    starts = [0, *range(1, frames.shape[1], _PIECE)]
    pieces = [frames[:, start:end] for start, end in zip(starts, [*starts[1:], frames.shape[1]], strict=True)]
    device = next(vae.parameters()).device
    pixels = (frames_to_pixels(piece).to(device) for piece in pieces)
    moments = torch.cat([vae.encode_shrunk(piece, state) for piece in pixels], dim=2)
    latents = moments.chunk(2, dim=1)[0] * vae.config.scaling_factor
    return rearrange(latents, "n c t h w -> n t c h w").half().cpu().numpy()


def prepare_latents(vae: StreamingVAE, latents: Path, fingerprint: str) -> None:
    """Make the folder, remove what another VAE has encoded, and encode the start views.

    A folder without a note of its VAE is taken to be of this one.
    """
    latents.mkdir(parents=True, exist_ok=True)
    note = latents / "vae.sha256"
    if note.exists() and note.read_text() != fingerprint:
        for path in latents.glob("*.npy"):
            path.unlink()
    note.write_text(fingerprint)
    views = render(np.stack([view.c2w for view in VIEWPOINTS]), HEIGHT, WIDTH)
    _save(latents / "views.npy", encode_videos(vae, views[:, None])[:, 0])


def fingerprint_vae(folder: Path) -> str:
    """Hash what decides the latents: the exported encoder, and the VAE's configuration with their scale."""
    digest = sha256((folder / "vae.json").read_bytes().strip())
    for name, weight in sorted(load_file(folder / "vae.safetensors").items()):
        if name.startswith("encoder."):
            digest.update(weight.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def encode_walks(
    vae: StreamingVAE, walks: Path, latents: Path, seeds: list[int], at_once: int
) -> Iterator[int]:
    """Encode walks of the same length as SEED.npy; yields each seed when done."""
    for start in range(0, len(seeds), at_once):
        group = seeds[start : start + at_once]
        frames = np.stack([np.load(walks / f"{seed}.npy", mmap_mode="r") for seed in group])
        for seed, encoded in zip(group, encode_videos(vae, frames), strict=True):
            _save(latents / f"{seed}.npy", encoded)
            yield seed


def _save(path: Path, encoded: NDArray[np.float16]) -> None:
    partial = path.with_suffix(".partial.npy")
    np.save(partial, encoded)
    partial.rename(path)
