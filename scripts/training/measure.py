"""Measures a trained world against the ground truth: held-out rollouts, and what each key does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.data import HEIGHT, WIDTH, WalkPlan, frame_poses
from training.generate import generate
from training.latents import encode_walk
from training.samples import CHUNK, LatentWalks
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.world.controls import motion_of
from worldplay.world.court import START_VIEWS, Ground, render

ACTIONS = ("w", "s", "a", "d", "left", "right", "w left", "w right")

Frames = NDArray[np.uint8]  # [F, H, W, 3]


@dataclass(frozen=True, slots=True)
class Rollouts:
    """PSNR in dB by chunk, [chunks] each, of held-out walks."""

    generated: NDArray[np.float64]
    ceiling: NDArray[np.float64]
    first_repeated: NDArray[np.float64]


def psnr(one: Frames, other: Frames) -> float:
    """Of all pixels together; 99 if they are equal."""
    error = np.square(one.astype(np.float32) - other.astype(np.float32)).mean()
    return float(10 * np.log10(255**2 / error)) if error else 99.0


@torch.inference_mode()
def decode(vae: StreamingVAE, latents: Tensor) -> Frames:
    """Frames of one walk's latents [T, C, h, w]."""
    state, device = vae.new_decoder_state(), next(vae.parameters()).device
    pieces = [vae.decode_latent(latent[None, :, None].to(device), state) for latent in latents]
    pixels = torch.cat(pieces, dim=2).float().add(1).mul(127.5).round().to(torch.uint8)
    return rearrange(pixels, "1 c f h w -> f h w c").cpu().numpy()


def by_chunk(frames: Frames) -> list[Frames]:
    """Split a walk's frames: 13 in the first chunk, 16 in every other."""
    starts = [0, *range(13, len(frames), 16)]
    return [frames[start:end] for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)]


def measure_rollouts(
    model: WorldPlayTransformer,
    vae: StreamingVAE,
    walks: LatentWalks,
    folder: Path,
    strips: Path,
    prompts: Tensor,
) -> Rollouts:
    """Roll all held-out walks out and compare; saves one strip a walk: truth above, generated below."""
    rows = list(range(len(walks)))
    chunks = walks.latents.shape[1] // CHUNK
    made = generate(model, walks, rows, chunks, torch.Generator().manual_seed(0), prompts)
    scores = []
    for row in rows:
        num_frames = 4 * CHUNK * chunks - 3
        truth = np.load(folder / f"{walks.seeds[row]}.npy", mmap_mode="r")[:num_frames]
        generated, ceiling = decode(vae, made[row]), decode(vae, walks.latents[row, : CHUNK * chunks])
        save_strip(strips / f"walk_{row}.png", [truth, ceiling, generated])
        first = np.broadcast_to(truth[:1], truth.shape)
        pairs = [(generated, truth), (ceiling, truth), (first, truth)]
        scores.append([[psnr(a, b) for a, b in zip(by_chunk(x), by_chunk(y), strict=True)] for x, y in pairs])
    return Rollouts(*np.mean(scores, axis=0))


def save_strip(path: Path, rows: list[Frames]) -> None:
    """The last frame of every chunk, side by side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    strip = [np.concatenate([chunk[-1] for chunk in by_chunk(np.asarray(row))], axis=1) for row in rows]
    Image.fromarray(np.concatenate(strip)).save(path)


def measure_actions(
    model: WorldPlayTransformer,
    vae: StreamingVAE,
    images: Tensor,
    strips: Path,
    prompts: Tensor,
    num_chunks: int = 4,
) -> dict[str, tuple[str, float]]:
    """Hold each of eight key combinations from the first view.

    Returns: for each, the combination whose true last chunk is nearest to the generated one, and by how many
    dB the right one is nearer than the best of the others (negative if it is not).
    """
    plans = [_hold(action, CHUNK * num_chunks) for action in ACTIONS]
    truths = [by_chunk(render(frame_poses(plan.c2w), HEIGHT, WIDTH))[-1] for plan in plans]
    walks = LatentWalks(
        seeds=np.arange(len(plans)),
        latents=torch.zeros(len(plans), CHUNK * num_chunks, *images.shape[1:]),
        c2w=np.stack([plan.c2w for plan in plans]),
        labels=np.stack([plan.labels() for plan in plans]),
        lights=np.stack([plan.lights for plan in plans]),
        views=np.zeros(len(plans), np.int64),
        images=images,
    )
    noise = torch.Generator().manual_seed(0)
    made = generate(model, walks, list(range(len(plans))), num_chunks, noise, prompts)
    results, sheet = {}, []
    for index, action in enumerate(ACTIONS):
        last = by_chunk(decode(vae, made[index]))[-1]
        scores = np.array([psnr(last, truth) for truth in truths])
        margin = scores[index] - np.delete(scores, index).max()
        results[action] = (ACTIONS[int(scores.argmax())], float(margin))
        sheet.append(np.concatenate([truths[index][-1], last[-1]]))
    Image.fromarray(np.concatenate(sheet, axis=1)).save(strips / "keys.png")
    return results


def _hold(action: str, num_latents: int) -> WalkPlan:
    """The first view's walk with some keys held all the time."""
    poses, ground = [START_VIEWS[0].c2w], Ground()
    while len(poses) < num_latents:
        poses.append(ground.move(poses[-1], motion_of(frozenset(action.split())))[0])
    return WalkPlan(0, np.stack(poses), np.zeros(num_latents, np.int64))


def start_images(vae: StreamingVAE) -> Tensor:
    """The start views' latents, [V, C, h, w], as the server makes them."""
    views = render(np.stack([view.c2w for view in START_VIEWS]), HEIGHT, WIDTH)
    return torch.from_numpy(np.concatenate([encode_walk(vae, view[None]) for view in views])).float()
