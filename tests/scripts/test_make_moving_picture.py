"""The moving picture of the README, in small."""

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

import make_moving_picture
from support.tiny_world import HEIGHT, WIDTH, make_world


def test_walk_is_whole_chunks_with_the_keys_that_steer_it() -> None:
    pieces = list(make_moving_picture.walk(make_world(), None, "w-4,right-4"))
    assert [len(frames) for frames in pieces] == [1, 4, 4, 4, 4, 4, 4, 4]
    scale = make_moving_picture.SCALE
    assert pieces[0].shape == (1, HEIGHT * scale, WIDTH * scale, 3)
    assert not np.array_equal(pieces[1], pieces[1] * 0)


def test_picture_moves(tmp_path: Path) -> None:
    frames = [np.full((8, 8, 3), grey, np.uint8) for grey in (0, 100, 200)]
    size = make_moving_picture.save(frames, tmp_path / "walk.webp", fps=12)
    with Image.open(tmp_path / "walk.webp") as picture:
        assert isinstance(picture, WebPImageFile)
        assert (picture.n_frames, picture.size) == (3, (8, 8))
    assert size == (tmp_path / "walk.webp").stat().st_size
