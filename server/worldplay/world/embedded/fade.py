"""Lets a visitor's picture fade into the world that a walk shows."""

import numpy as np
from numpy.typing import NDArray

NUM_FRAMES = 29  # of the first two chunks: a little over a second


def fade_from(look: NDArray[np.uint8], frames: NDArray[np.uint8], first_frame: int) -> NDArray[np.uint8]:
    """Mix frames [F, H, W, 3] with what a walk begins as, [H, W, 3]; its first frame is nothing else.

    Args:
        first_frame: number in the walk of the first of `frames`.
    """
    if first_frame >= NUM_FRAMES:
        return frames
    time = np.clip((first_frame + np.arange(len(frames))) / NUM_FRAMES, 0.0, 1.0)
    share = (time * time * (3.0 - 2.0 * time)).reshape(-1, 1, 1, 1)  # of the world; slow to begin and to end
    return (look * (1.0 - share) + frames * share + 0.5).astype(np.uint8)
