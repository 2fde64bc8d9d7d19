"""Transparent and animated pictures, and what Chromium 156 shows of them: colours from the first row.

The colours were read back from a canvas, over white. tests/browser/test_pictures.py does it again.
"""

from collections.abc import Callable

from support.picture_files import (
    BLUE,
    COLORS_OF_PALETTE,
    GREEN,
    GREY_16,
    GREY_ALPHA_16,
    IMAGE,
    INDICES,
    RGB_8,
    RGB_16,
    alphas,
    animated_webp,
    apng,
    frame_control,
    frame_data,
    green,
    indexed,
    trns,
    webp,
)
from support.png import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, chunk, png

Color = tuple[int, int, int]


class Shown:
    """A picture file and what a browser shows of it: a colour for each pixel, or one for all."""

    def __init__(self, name: str, make: Callable[[], bytes], *colors: Color) -> None:
        self.name = name
        self.make = make
        self.colors = colors

    def __repr__(self) -> str:
        return self.name


TRANSPARENT = (
    Shown(
        "grey, 1 bit, black transparent", lambda: png([[0, 1, 0, 1]] * 2, GREY, 1, [trns(0)]), (255, 255, 255)
    ),
    Shown(
        "grey, 1 bit, white transparent",
        lambda: png([[0, 1, 0, 1]] * 2, GREY, 1, [trns(1)]),
        (0, 0, 0),
        (255, 255, 255),
        (0, 0, 0),
        (255, 255, 255),
    ),
    Shown(
        "grey, 2 bits",
        lambda: png([[0, 1, 2, 3]] * 2, GREY, 2, [trns(2)]),
        (0, 0, 0),
        (85, 85, 85),
        (255, 255, 255),
        (255, 255, 255),
    ),
    Shown(
        "grey, 4 bits",
        lambda: png([[0, 5, 10, 15]] * 2, GREY, 4, [trns(5)]),
        (0, 0, 0),
        (255, 255, 255),
        (170, 170, 170),
        (255, 255, 255),
    ),
    Shown(
        "grey, 8 bits",
        lambda: png([[16, 32, 48]] * 2, GREY, 8, [trns(32)]),
        (16, 16, 16),
        (255, 255, 255),
        (48, 48, 48),
    ),
    Shown(
        "grey, 8 bits, key of 9",
        lambda: png([[16, 32, 48]] * 2, GREY, 8, [trns(0x110)]),
        (255, 255, 255),
        (32, 32, 32),
        (48, 48, 48),
    ),
    Shown(
        "grey, 16 bits",
        lambda: png(GREY_16, GREY, 16, [trns(0x1234)]),
        (0, 0, 0),
        (255, 255, 255),
        (18, 18, 18),
        (128, 128, 128),
        (255, 255, 255),
    ),
    Shown(
        "grey, 16 bits, opaque",
        lambda: png(GREY_16, GREY, 16),
        (0, 0, 0),
        (18, 18, 18),
        (18, 18, 18),
        (128, 128, 128),
        (255, 255, 255),
    ),
    Shown(
        "grey, 16 bits, interlaced",
        lambda: png([GREY_16[0]] * 9, GREY, 16, [trns(0x1234)], interlaced=True),
        (0, 0, 0),
        (255, 255, 255),
        (18, 18, 18),
        (128, 128, 128),
        (255, 255, 255),
    ),
    Shown(
        "rgb, 8 bits",
        lambda: png(RGB_8, RGB, 8, [trns(10, 20, 30)]),
        (255, 255, 255),
        (10, 20, 31),
        (1, 2, 3),
    ),
    Shown(
        "rgb, 16 bits",
        lambda: png(RGB_16, RGB, 16, [trns(0x1234, 0x5678, 0x9ABC)]),
        (255, 255, 255),
        (18, 86, 154),
        (18, 86, 154),
        (255, 0, 128),
    ),
    Shown(
        "rgb, 16 bits, interlaced",
        lambda: png([RGB_16[0]] * 9, RGB, 16, [trns(0x1234, 0x5678, 0x9ABC)], interlaced=True),
        (255, 255, 255),
        (18, 86, 154),
        (18, 86, 154),
        (255, 0, 128),
    ),
    Shown(
        "grey and alpha, 8 bits",
        lambda: png([[[0, 255], [0, 128], [0, 0], [64, 64]]] * 2, GREY_ALPHA),
        (0, 0, 0),
        (127, 127, 127),
        (255, 255, 255),
        (207, 207, 207),
    ),
    Shown(
        "grey and alpha, 16 bits",
        lambda: png(GREY_ALPHA_16, GREY_ALPHA, 16),
        (0, 0, 0),
        (127, 127, 127),
        (255, 255, 255),
        (207, 207, 207),
    ),
    Shown(
        "rgb and alpha, 16 bits",
        lambda: png([[[0xFFFF, 0, 0, 0x80FF], [0, 0, 0xFFFF, 0]]] * 2, RGBA, 16),
        (255, 127, 127),
        (255, 255, 255),
    ),
    Shown(
        "palette, one transparent",
        lambda: indexed(COLORS_OF_PALETTE, alphas(255, 0), depth=2),
        (255, 0, 0),
        (255, 255, 255),
        (0, 255, 0),
        (9, 9, 9),
    ),
    Shown(
        "palette, half transparent",
        lambda: indexed(COLORS_OF_PALETTE, alphas(0, 128)),
        (255, 255, 255),
        (127, 127, 255),
        (0, 255, 0),
        (9, 9, 9),
    ),
    Shown(
        "palette, more alphas than colours",
        lambda: indexed(COLORS_OF_PALETTE, alphas(255, 0, 255, 255, 1, 2)),
        (255, 0, 0),
        (255, 255, 255),
        (0, 255, 0),
        (9, 9, 9),
    ),
    Shown(
        "palette, alphas before it",
        lambda: indexed(alphas(255, 0), COLORS_OF_PALETTE),
        (255, 0, 0),
        (0, 0, 255),
        (0, 255, 0),
        (9, 9, 9),
    ),
    Shown(
        "palette, interlaced",
        lambda: png([INDICES[0]] * 9, PALETTE, 2, [COLORS_OF_PALETTE, alphas(0)], interlaced=True),
        (255, 255, 255),
        (0, 0, 255),
        (0, 255, 0),
        (9, 9, 9),
    ),
    Shown(
        "palette too short",
        lambda: indexed(chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255]))),
        (255, 0, 0),
        (0, 0, 255),
        (0, 0, 255),
        (0, 0, 255),
    ),
    Shown(
        "palette too long",
        lambda: png([[0, 1, 1, 0]] * 2, PALETTE, 1, [COLORS_OF_PALETTE]),
        (255, 0, 0),
        (0, 0, 255),
        (0, 0, 255),
        (255, 0, 0),
    ),
    Shown(
        "key cut off",
        lambda: png([[16, 32, 48]] * 2, GREY, 8, [alphas(32)]),
        (16, 16, 16),
        (32, 32, 32),
        (48, 48, 48),
    ),
    Shown(
        "key with a wrong checksum",
        lambda: png([[16, 32, 48]] * 2, GREY, 8, [chunk(b"tRNS", b"\0\x20", 5)]),
        (16, 16, 16),
        (32, 32, 32),
        (48, 48, 48),
    ),
    Shown(
        "key twice",
        lambda: png([[16, 32, 48]] * 2, GREY, 8, [trns(32), trns(16)]),
        (16, 16, 16),
        (255, 255, 255),
        (48, 48, 48),
    ),
    Shown(
        "key behind the pixels",
        lambda: png([[16, 32, 48]] * 2, GREY, 8, after=[trns(32)]),
        (16, 16, 16),
        (32, 32, 32),
        (48, 48, 48),
    ),
    Shown(
        "key beside alpha",
        lambda: png([[[255, 0, 0, 255], [255, 0, 0, 0]]] * 2, RGBA, 8, [trns(255, 0, 0)]),
        (255, 0, 0),
        (255, 255, 255),
    ),
    Shown("webp", lambda: webp((255, 0, 0, 128)), (255, 127, 127)),
)

ANIMATED = (
    Shown("webp", animated_webp, (255, 127, 127)),
    Shown(
        "png",
        lambda: apng(frame_control(0, 3, 2), IMAGE, frame_control(1, 3, 2), frame_data(2, BLUE)),
        (60, 200, 60),
    ),
    Shown(
        "png whose image is no frame",
        lambda: apng(IMAGE, frame_control(0, 3, 2), frame_data(1, BLUE)),
        (0, 0, 255),
    ),
    Shown(
        "png with a small first frame",
        lambda: apng(
            IMAGE,
            frame_control(0, 1, 1, 1),
            frame_data(1, [[[0, 0, 255]]]),
            frame_control(2, 3, 2),
            frame_data(3, GREEN),
        ),
        (255, 255, 255),
        (0, 0, 255),
        (255, 255, 255),
    ),
    Shown(
        "png with a broken second frame",
        lambda: apng(frame_control(0, 3, 2), IMAGE, chunk(b"fcTL", b"x", 9), frame_data(2, BLUE)),
        (60, 200, 60),
    ),
    Shown(
        "png without a number of frames",
        lambda: green(chunk(b"acTL", bytes(3)), frame_control(0, 3, 2)),
        (60, 200, 60),
    ),
)
