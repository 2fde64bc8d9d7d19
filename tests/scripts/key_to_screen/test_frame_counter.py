"""Which frame is on screen is told from pixels, though they are not quite those of the stream."""

import numpy as np
from numpy.typing import NDArray

from key_to_screen.frame_counter import HEIGHT, WIDTH, count_frames, decode
from support.pictures import moving_bars
from worldplay.media.track import VideoTrack


def noisy_frames(count: int, step: int, seed: int) -> NDArray[np.uint8]:
    """Frames of a resting camera: each differs from the one before by noise only."""
    rng = np.random.default_rng(seed)
    still = rng.integers(40, 200, (HEIGHT, WIDTH))
    noise = rng.integers(-step, step + 1, (count, HEIGHT, WIDTH))
    return (still + noise).astype(np.uint8)


def test_readings_are_found_though_colours_are_rounded_differently() -> None:
    frames = noisy_frames(40, step=3, seed=0)
    shown = np.array([3, 4, 5, 7, 7, 12, 13])
    rounding = np.random.default_rng(1).integers(0, 4, (HEIGHT, WIDTH))
    assert count_frames((frames[shown] + rounding).astype(np.uint8), frames).tolist() == shown.tolist()


def test_path_never_goes_back() -> None:
    frames = noisy_frames(6, step=2, seed=2)
    frames[5] = frames[1]  # the same picture again
    assert count_frames(frames[[0, 1, 2, 3]], frames).tolist() == [0, 1, 2, 3]
    assert count_frames(frames[[3, 4, 5]], frames).tolist() == [3, 4, 5]


def test_frames_are_the_middle_of_the_stream() -> None:
    track = VideoTrack(160, 96, fps=24)
    pictures = list(moving_bars(3))
    fragments = [track.fragment(track.encode(each, key=i == 0), i) for i, each in enumerate(pictures)]
    frames = decode(track.init_segment, fragments)
    assert frames.shape == (3, HEIGHT, WIDTH)
    middle = np.asarray(pictures[1])[24:72, 48:112, 1].astype(float)
    assert np.abs(frames[1] - middle).mean() < 8
