"""Measures how often one colour fills the view while a random player walks for a minute."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.lab import Lab, play
from evaluation.metrics import Frames
from evaluation.report import Report, Row
from evaluation.routes import held_out
from evaluation.scale import Scale
from evaluation.strips import save_strip
from evaluation.workers import Workers

CHUNKS = 90  # 60 s
MOST = 0.95  # of a frame's pixels
NEAR = 16  # of 255 levels, in every channel
LOOKS = 10  # frames of each walk, to be judged by eye


@dataclass(frozen=True, slots=True)
class Minute:
    """A walk: which of its frames one colour fills, and LOOKS frames of it, evenly spaced."""

    filled: NDArray[np.bool_]  # [F]
    looks: Frames


def measure(workers: Workers, scale: Scale) -> Report:
    """Make a row for each minute, with the share of frames that one colour fills."""
    walks = workers.map("minutes", run_minute, [(index,) for index in range(scale.minutes)])
    rows: list[Row] = [
        {"walk": index, "frames": len(walk.filled), "of one colour": int(walk.filled.sum())}
        for index, walk in enumerate(walks)
    ]
    share = 100 * np.concatenate([walk.filled for walk in walks]).mean()
    save_strip(
        workers.strips / "minutes.png",
        {f"walk {index}": list(walk.looks) for index, walk in enumerate(walks)},
        [f"{CHUNKS * part // LOOKS} chunks" for part in range(LOOKS)],
    )
    return Report(
        "A minute's walk",
        f"Held-out walks of {CHUNKS} chunks by a random player, by day, generated as the server does. A "
        f"frame is of one colour if {MOST:.0%} of its pixels are within {NEAR} of 255 levels of its median "
        "colour, in every channel.",
        rows,
        [f"Frames of one colour: {share:.1f} %."],
    )


def run_minute(lab: Lab, index: int) -> Minute:
    """Generate one walk."""
    frames = play(lab.world, held_out(index, CHUNKS)).frames
    return Minute(are_filled(frames), frames[:: -(-len(frames) // LOOKS)])


def are_filled(frames: Frames) -> NDArray[np.bool_]:
    """Return for each of [F, H, W, 3] whether one colour fills it."""
    pixels = frames.reshape(len(frames), -1, 3)
    return np.array([_is_filled(frame) for frame in pixels])


def _is_filled(pixels: NDArray[np.uint8]) -> bool:
    distance = np.abs(pixels - np.median(pixels, axis=0)).max(axis=1)
    return bool((distance <= NEAR).mean() >= MOST)
