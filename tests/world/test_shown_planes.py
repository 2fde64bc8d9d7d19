"""What the shipped world gives an encoder is what it decodes: planes, without a detour over RGB."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from support.walks import go_on, open_walk
from worldplay.media.encoder import H264Encoder
from worldplay.world.camera import Motion
from worldplay.world.world import World

MOVES = [Motion(yaw=0.1), Motion(), Motion(), Motion(yaw=0.1)]


def test_planes_show_what_is_decoded(world: World) -> None:
    walk, twin = open_walk(world), open_walk(world)
    encoder = H264Encoder(world.width, world.height, world.fps)
    for moves in (MOVES[1:], MOVES):
        frames, planes = walk.decode(go_on(walk, moves)), twin.decode_for_encoder(go_on(twin, moves))
        for rgb, shown in zip(frames, planes, strict=True):
            assert shown.shape == (len(rgb), 3 * world.height // 2, world.width)
            expected = np.stack([encoder._to_yuv(frame).to_ndarray() for frame in rgb])
            off = np.abs(shown.astype(int) - expected)
            luma, chroma = off[:, : world.height], off[:, world.height :]
            # Rounding is a level. Colours out of range, and chroma at strong edges, are more in a few pixels.
            for plane, most in ((luma, 2), (chroma, 4)):
                assert plane.mean() < 0.4
                assert np.percentile(plane, 99.9) <= most
        assert is_one_picture(shown) is (moves is MOVES[1:])


def test_a_cut_goes_on_from_planes_as_from_pixels(world: World) -> None:
    walk, twin = open_walk(world), open_walk(world)
    for each in (walk, twin):
        chunk = go_on(each, MOVES[1:])
        decode = each.decode(chunk) if each is walk else each.decode_for_encoder(chunk)
        next(decode)
        next(decode)
    first, second = walk._decoder_state, twin._decoder_state
    assert first is not None
    assert second is not None
    assert all(torch.equal(*pair) for pair in zip(first.slots, second.slots, strict=True))


def test_an_own_image_is_blended_into_pixels(world: World) -> None:
    walk = open_walk(world, picture=world.crop(Image.new("RGB", (640, 384), "purple")))
    shown = next(walk.decode_for_encoder(go_on(walk, MOVES[1:])))
    assert shown.shape == (1, world.height, world.width, 3)


def is_one_picture(frames: NDArray[np.uint8]) -> bool:
    return bool((frames == frames[0]).all())
