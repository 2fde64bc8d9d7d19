"""Gives every measurement the world, walks generated as by the server, and the true pictures."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from evaluation.metrics import Frames
from evaluation.routes import Poses, Route
from training.chunks import CHUNK
from training.data import frame_poses
from worldplay.world import courtyard
from worldplay.world.camera import DEFAULT_INTRINSICS
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.steering import ReplaySteering, WalkRequest
from worldplay.world.world import World

SEED = 0  # of the noise of every walk
_SETTLED = 3  # chunks until the context is full; these are not timed


@dataclass(frozen=True, slots=True)
class Played:
    """A generated walk: frames by chunk, the context of each chunk, and its time in ms by stage."""

    chunks: list[Frames]
    contexts: list[list[int]]
    timings_ms: list[dict[str, float]]

    @property
    def frames(self) -> Frames:
        return np.concatenate(self.chunks)

    def median_ms(self) -> float:
        """Return a chunk's median time with decoding, without the walk's first chunks if there are more."""
        settled = self.timings_ms[_SETTLED:] or self.timings_ms
        return float(np.median([sum(times.values()) for times in settled]))


@dataclass(frozen=True, slots=True)
class Lab:
    """One process's world, and the folder that keeps what was rendered."""

    world: World
    folder: Path

    def truth(self, c2w: Poses, light: str) -> Frames:
        """Return the true frames [4 T - 3, H, W, 3] of court poses [T, 4, 4]; rendered once, then kept."""
        poses = frame_poses(c2w)
        path = self.folder / f"{self._name(poses, light)}.npy"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.npy")  # another process may be rendering the same
            np.save(partial, render(poses, self.world.height, self.world.width, light))
            partial.rename(path)
        frames: Frames = np.load(path)
        return frames

    def _name(self, poses: Poses, light: str) -> str:
        """Hash everything that the pictures depend on, including the renderer's code."""
        code = sorted(Path(courtyard.__file__).parent.glob("*.py"))
        size = repr((self.world.height, self.world.width)).encode()
        facts = [poses.tobytes(), DEFAULT_INTRINSICS.tobytes(), light.encode(), size]
        return sha256(b"".join([*facts, *(path.read_bytes() for path in code)])).hexdigest()[:24]


def play(
    world: World,
    route: Route,
    prompts: Mapping[int, str] | None = None,
    cuts: Mapping[int, Sequence[int]] | None = None,
) -> Played:
    """Generate and decode a route's chunks along the served path.

    Args:
        prompts: by the chunk from which each applies; the default is the empty prompt.
        cuts: by the chunk that is cut, how many latents each cut keeps. Until then it goes straight on.
    """
    prompts, cuts = prompts or {}, cuts or {}
    view = world.views[route.view]
    live = world.open_walk(WalkRequest(view=view.name, seed=SEED, prompt=prompts.get(0)))
    steering, played = ReplaySteering(route.latches(cuts)), Played([], [], [])
    for index in range(route.num_chunks):
        if index and index in prompts:
            live.set_prompt(prompts[index])
        chunk, frames = live.begin_chunk(steering).finish(), list[Frames]()
        for kept in cuts.get(index, ()):
            frames += islice(live.decode(chunk), kept - chunk.first_latent)
            chunk = live.begin_cut(kept, steering).finish()
        began = perf_counter()
        played.chunks.append(np.concatenate([*frames, *live.decode(chunk)]))
        played.timings_ms.append({**chunk.timings_ms, "decode": 1000 * (perf_counter() - began)})
        played.contexts.append(chunk.context)
    expected = route.c2w()[: CHUNK * route.num_chunks]
    assert np.allclose(VIEWPOINTS[route.view].c2w @ live.walk.c2w, expected, atol=1e-6), route.name
    return played


def by_chunk(frames: Frames) -> list[Frames]:
    """Split a walk's frames: 13 in the first chunk, 16 in every other."""
    first = 4 * CHUNK - 3
    return np.split(frames, range(first, len(frames), 4 * CHUNK))
