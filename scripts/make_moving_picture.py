"""Make the README's moving picture: a real walk through the embedded world, with its keys drawn on it.

python scripts/make_moving_picture.py docs/walk.webp
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worldplay.clips.key_overlay import draw_keys
from worldplay.loading import open_world
from worldplay.settings import load_settings
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.steering import TrajectorySteering, WalkRequest
from worldplay.world.world import World

VIEW = "gate"
POSES = "w-26,right-14,w-8,left-32,w-12,left-12,w-8"  # through the gate, to the tower and to the old tree
SCALE = 2
EVERY = 2  # one of so many frames is kept
QUALITY = 60
MAX_BYTES = 2_000_000

Frames = NDArray[np.uint8]


def walk(world: World, view: str | None, poses: str) -> Iterator[Frames]:
    """Walk along a pose string, as many whole chunks as it fills.

    Yields: [F, H, W, 3] RGB for each latent, enlarged, with the keys drawn onto them.
    """
    moves = parse_trajectory(poses).moves
    steering = TrajectorySteering(moves)
    live = world.open_walk(WalkRequest(view=view, seed=1))
    for _ in range((1 + len(moves)) // world.chunk_latents):
        chunk = live.begin_chunk(steering).finish()
        for frames, label in zip(live.decode(chunk), chunk.labels, strict=True):
            yield draw_keys(frames.repeat(SCALE, axis=1).repeat(SCALE, axis=2), label)


def save(frames: list[Frames], path: Path, fps: float) -> int:
    """Write an animated WebP. Returns: its size in bytes."""
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=round(1000 / fps),
        loop=0,
        quality=QUALITY,
        method=4,
    )
    return path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("path", type=Path, help="the WebP to write")
    parser.add_argument("--view", default=VIEW, help="where to start")
    parser.add_argument("--poses", default=POSES, help="where to go")
    arguments = parser.parse_args()
    world = open_world(load_settings(), sessions=1, clips=0)
    shown = np.concatenate(list(walk(world, arguments.view, arguments.poses)))[::EVERY]
    size = save(list(shown), arguments.path, world.fps / EVERY)
    print(f"{arguments.path}: {len(shown)} pictures, {size / 1e6:.2f} MB")
    if size > MAX_BYTES:
        raise SystemExit(f"expected at most {MAX_BYTES / 1e6:.0f} MB: take fewer poses")


if __name__ == "__main__":
    main()
