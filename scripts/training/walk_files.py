"""Draws planned walks, on all processors or on a GPU, and keeps them in a folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from einops import reduce
from numpy.typing import NDArray
from torch import Tensor

from training.data import HELD_OUT_SEED, WalkPlan, frame_poses, plan_walk
from worldplay.world.courtyard import paint
from worldplay.world.courtyard.light import LIGHTS, LOOKS, Light
from worldplay.world.courtyard.renderer import Look, draw, render
from worldplay.world.frames import FRAMES_PER_LATENT

HEIGHT, WIDTH = 96, 160  # of the pictures that the encoder sees
SHRINK = 2  # those that the decoder makes are so many times as high and wide

_CHECKED = 24, 40  # height and width in which a rendered frame is compared with the court
# Levels, the most mean difference then: of this court it is up to 4, of version 4's 26 and more.
_ALIKE = 8.0

Drawer = Callable[[Tensor, Light], Tensor]  # poses [n, 4, 4] -> frames [n, H, W, 3] uint8


def make_drawer(scale: int, device: str, look: Look = paint.look) -> Drawer:
    """Prepare to draw frames on a device, `scale` times as high and wide as the encoder sees them."""
    height, width = HEIGHT * scale, WIDTH * scale
    return lambda c2w, light: draw(c2w.to(device), height, width, light, look).cpu()


def compile_look() -> Look:
    """Compile the colouring of rays, 8 times as fast: half a minute for each light. Needs a C++ compiler."""
    compiled: Look = torch.compile(paint.look, dynamic=False)
    return compiled


def render_walks(
    folder: Path, seeds: list[int], num_latents: int, drawer: Drawer, at_once: int = 1
) -> Iterator[int]:
    """Render walks as SEED.npy (frames) and SEED.npz (plan); yields each seed when done."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        path = folder / f"{seed}.npy"
        plan = plan_walk(seed, num_latents, from_view=seed >= HELD_OUT_SEED or seed % 2 == 0)
        frames = _render_plan(plan, drawer, at_once)
        view = -1 if plan.view is None else plan.view
        np.savez(path.with_suffix(".npz"), c2w=plan.c2w, view=view, lights=plan.lights)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, frames)
        partial.rename(path)
        yield seed


def _render_plan(plan: WalkPlan, drawer: Drawer, at_once: int) -> NDArray[np.uint8]:
    """Render all frames of a walk [F, H, W, 3], each in the light of its latent."""
    poses = torch.from_numpy(frame_poses(plan.c2w)).float()
    lights = np.concatenate([plan.lights[:1], np.repeat(plan.lights[1:], FRAMES_PER_LATENT)])
    ends = [*(np.flatnonzero(np.diff(lights)) + 1), len(lights)]
    frames = [
        drawer(group, LOOKS[LIGHTS[lights[start]]])
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
        for group in poses[start:end].split(at_once)
    ]
    return torch.cat(frames).numpy()


def load_plan(folder: Path, seed: int) -> WalkPlan:
    """Read back the plan of a rendered walk."""
    stored = np.load(folder / f"{seed}.npz")
    view = int(stored["view"])
    return WalkPlan(None if view < 0 else view, stored["c2w"], stored["lights"])


def shows_court(folder: Path, seed: int, scale: int) -> bool:
    """Return whether a rendered walk has this court's size and looks: not that of an earlier recipe."""
    frame, plan = np.load(folder / f"{seed}.npy", mmap_mode="r")[0], load_plan(folder, seed)
    if frame.shape != (HEIGHT * scale, WIDTH * scale, 3):
        return False
    height, width = _CHECKED
    small = reduce(frame.astype(np.float32), "(h p) (w q) c -> h w c", "mean", h=height, w=width)
    true = render(plan.c2w[:1], height, width, LIGHTS[plan.lights[0]])[0]
    return bool(np.abs(small - true).mean() < _ALIKE)
