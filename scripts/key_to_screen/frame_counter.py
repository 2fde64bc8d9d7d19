"""Tells from pixels alone which video frame was on screen."""

import io

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 48  # of the part that is compared, in the middle of the picture

Pixels = NDArray[np.uint8]


def decode(init_segment: bytes, fragments: list[bytes]) -> Pixels:
    """Decode a whole stream. Returns: [F, HEIGHT, WIDTH], green, the middle of each frame."""
    with av.open(io.BytesIO(init_segment + b"".join(fragments)), "r") as container:
        return np.stack([_middle(frame) for frame in container.decode(video=0)])


def count_frames(readings: Pixels, frames: Pixels) -> NDArray[np.intp]:
    """Find the frame that each reading shows.

    Browser and decoder round colours differently, so a reading equals no frame exactly. The result is the
    closest match in which frames never go back.

    Args:
        readings: [R, HEIGHT, WIDTH] from the screen, in order.
        frames: [F, HEIGHT, WIDTH] from the stream, in order.
    Returns: [R] indices into `frames`.
    """
    difference = np.stack([_difference(reading, frames) for reading in readings])  # [R, F]
    best = np.empty_like(difference, dtype=np.intp)  # the cheapest predecessor of each place on the path
    total = np.zeros(len(frames))
    for number, row in enumerate(difference):
        cheapest = np.minimum.accumulate(total)
        best[number] = np.maximum.accumulate(np.where(total == cheapest, np.arange(len(frames)), 0))
        total = cheapest + row
    return _follow_back(best, int(total.argmin()))


def _middle(frame: av.VideoFrame) -> Pixels:
    picture = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    height, width = picture.shape[:2]
    top, left = (height - HEIGHT) // 2, (width - WIDTH) // 2
    return picture[top : top + HEIGHT, left : left + WIDTH, 1]


def _difference(reading: Pixels, frames: Pixels) -> NDArray[np.float64]:
    error: NDArray[np.float64] = np.abs(frames.astype(np.float64) - reading).mean(axis=(1, 2))
    return error


def _follow_back(best: NDArray[np.intp], last: int) -> NDArray[np.intp]:
    """Walk the path from its end to its start."""
    path = [last]
    for row in best[:0:-1]:
        path.append(int(row[path[-1]]))
    return np.array(path[::-1])
