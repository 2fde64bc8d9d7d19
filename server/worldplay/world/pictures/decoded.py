"""The result of decoding PNG, JPEG and WebP."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as its file stores it."""

    pixels: Image.Image  # mode L, RGB or CMYK, 8 bits a channel
    alpha: Image.Image | None = None  # mode L; None if everything is opaque
    profile: bytes | None = None  # an ICC profile for this mode; beside L also one for RGB
    exif: bytes = b""


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes that cover an image from top to bottom.

    Many of Pillow's operations block all other threads, and take long on a large picture.
    """
    width, height = size
    rows = max(1, 2**19 // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)
