"""Trains the decoder further on what the transformer generates: its errors must not blur the picture."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from training.masters import Masters
from training.progress import Progress
from training.vae_stage import NOISE, RECIPE, compare
from worldplay.model.vae import StreamingVAE
from worldplay.world.embedded.compact_weights import compact, read_all

RATE = 0.4  # times the autoencoder's
WARMUP_STEPS = 40
FRAMES = 4  # of a latent, except a stream's first


@dataclass(frozen=True, slots=True)
class Films:
    """n walks: generated and true latents [n, T, C, h, w], scaled, and true frames [n, F, H, W, 3] uint8."""

    made: Tensor
    true: Tensor
    frames: Tensor


@dataclass(frozen=True, slots=True)
class Streams:
    """How streams are cut out of films."""

    count: int
    latents_per_piece: int = 2
    longest: int = 12  # pieces


@dataclass(frozen=True, slots=True)
class Piece:
    """The next latents [B, C, t, h, w] of B streams, scaled, and their pixels [B, 3, f, H, W] in [-1, 1]."""

    latents: Tensor
    pixels: Tensor
    starts: bool


def draw_streams(films: Films, seed: int, streams: Streams) -> Iterator[Piece]:
    """Cut streams out of films, for ever: half of them of generated latents, half of true ones."""
    rng = np.random.default_rng(seed)
    total = films.made.shape[1]
    while True:
        count = 1 + streams.latents_per_piece * int(rng.integers(2, streams.longest + 1))
        count = min(count, total)
        walks = rng.integers(len(films.made), size=streams.count)
        starts = rng.integers(total - count + 1, size=streams.count)
        sources = [films.made if number % 2 else films.true for number in range(streams.count)]
        cut = [
            source[walk, start : start + count]
            for source, walk, start in zip(sources, walks, starts, strict=True)
        ]
        shown = [
            films.frames[walk, FRAMES * start : FRAMES * (start + count - 1) + 1]
            for walk, start in zip(walks, starts, strict=True)
        ]
        yield from _cut_pieces(torch.stack(cut), torch.stack(shown), streams.latents_per_piece)


def _cut_pieces(latents: Tensor, frames: Tensor, size: int) -> Iterator[Piece]:
    ends = [*range(1 + size, latents.shape[1] + 1, size)]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        first = 0 if start == 0 else FRAMES * (start - 1) + 1
        shown = frames[:, first : FRAMES * (end - 1) + 1]
        pixels = shown.permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        yield Piece(latents[:, start:end].transpose(1, 2), pixels, starts=start == 0)


def polish(
    vae: StreamingVAE, films: Films, folder: Path, minutes: float, streams: Streams, rank: int
) -> None:
    """Train the decoder, and write vae.safetensors anew. For every rank."""
    torch.manual_seed(rank)
    masters = Masters(vae.decoder, replace(RECIPE, average_decay=0.99))
    progress, began = Progress(folder, "polish"), time.monotonic()
    progress.forget()
    state = vae.new_decoder_state()
    for step, piece in enumerate(draw_streams(films, rank, streams)):
        if piece.starts:
            state = vae.new_decoder_state()
        latents = piece.latents / vae.config.scaling_factor
        amount = 0.5 * NOISE * torch.rand(len(latents), 1, 1, 1, 1, device=latents.device)
        decoded = vae.decode_raw(latents + amount * torch.randn_like(latents), state).float()
        state = state.detach()
        loss, parts = compare(decoded, piece.pixels)
        torch.autograd.backward(loss)
        (share,) = masters.collect((time.monotonic() - began) / (60 * minutes))
        masters.update(step, RATE * min(1.0, (step + 1) / WARMUP_STEPS) * min(1.0, max(0.0, 1 - share) / 0.5))
        if step % 10 == 0 and rank == 0:
            progress.report(step, share, time.monotonic() - began, {n: v.item() for n, v in parts.items()})
        if share >= 1:
            break
    if rank == 0:
        _save(folder / "vae.safetensors", masters.averaged_weights())


def _save(path: Path, decoder: dict[str, Tensor]) -> None:
    """Replace the decoder in a file of weights. It is compact from now on: nothing is trained further."""
    trained = {f"decoder.{name}": weight.cpu() for name, weight in decoder.items()}
    partial = path.with_suffix(".partial")
    save_file(compact(read_all(path) | trained), partial)
    partial.rename(path)
