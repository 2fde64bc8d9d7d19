"""Decodes PNG pixels, with the transparency and the colour profile of their file."""

import struct
from functools import reduce

from PIL import Image, ImageChops

from worldplay.world.pictures.decoded import Decoded, strips
from worldplay.world.pictures.png_chunks import Frame, read_chunks
from worldplay.world.pictures.png_profile import read_profile

GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6

# Pillow's mode and raw mode by colour type and depth. Of 16 bits only the upper 8 are used.
_MODES = {
    (GREY, 1): ("1", "1"),
    (GREY, 2): ("L", "L;2"),
    (GREY, 4): ("L", "L;4"),
    (GREY, 8): ("L", "L"),
    (GREY, 16): ("L", "L;16B"),
    (RGB, 8): ("RGB", "RGB"),
    (RGB, 16): ("RGB", "RGB;16B"),
    (PALETTE, 1): ("P", "P;1"),
    (PALETTE, 2): ("P", "P;2"),
    (PALETTE, 4): ("P", "P;4"),
    (PALETTE, 8): ("P", "P"),
    (GREY_ALPHA, 8): ("LA", "LA"),
    (GREY_ALPHA, 16): ("RGBA", "LA;16B"),
    (RGB_ALPHA, 8): ("RGBA", "RGBA"),
    (RGB_ALPHA, 16): ("RGBA", "RGBA;16B"),
}
_LOW_BYTES = {"L": "L;16", "RGB": "RGB;16L"}  # raw modes that take the lower 8 of big-endian 16 bits


class PngFile:
    """A PNG whose chunks are read and whose pixels are still compressed."""

    def __init__(self, data: bytes) -> None:
        """Raises: ValueError about damage."""
        self._chunks = read_chunks(data)
        self._header = self._chunks.header
        self.size = (self._header.width, self._header.height)

    def decode(self) -> Decoded:
        """The first frame. Raises: ValueError about damage."""
        kind = (self._header.color_type, self._header.depth)
        if kind not in _MODES:
            raise ValueError(f"colour type {kind[0]} with {kind[1]} bits")
        frame = self._chunks.first_frame
        mode, raw_mode = _MODES[kind]
        pixels, alpha = self._separate_alpha(_unpack(frame, mode, raw_mode, self._header.interlaced), frame)
        if (frame.width, frame.height) != self.size:
            pixels, alpha = _place(pixels, alpha, frame, self.size)
        profile = read_profile(self._chunks.ancillary, is_grey=kind[0] in (GREY, GREY_ALPHA))
        return Decoded(pixels, alpha, profile, self._chunks.ancillary.get(b"eXIf", b""))

    def _separate_alpha(self, image: Image.Image, frame: Frame) -> tuple[Image.Image, Image.Image | None]:
        """Split an image into its colours (mode L or RGB) and its alpha."""
        color_type = self._header.color_type
        if color_type == PALETTE:
            return self._look_up(image)
        if color_type == GREY_ALPHA:
            return image.getchannel(0), image.getchannel("A")
        if color_type == RGB_ALPHA:
            return image.convert("RGB"), image.getchannel("A")
        grey_or_rgb = image.convert("L") if image.mode == "1" else image
        return grey_or_rgb, self._alpha_of_key(grey_or_rgb, frame)

    def _look_up(self, indices: Image.Image) -> tuple[Image.Image, Image.Image | None]:
        palette = self._chunks.palette
        if not palette or len(palette) % 3 or len(palette) > 3 * 256:
            raise ValueError(f"a palette of {len(palette or b'')} bytes")
        alphas = self._chunks.ancillary.get(b"tRNS", b"")[: len(palette) // 3]
        alpha = indices.point(list(alphas.ljust(256, b"\xff")), "L") if alphas else None
        # Browsers take the last colour for indices beyond the palette.
        indices.putpalette(palette + palette[-3:] * (256 - len(palette) // 3))
        return indices.convert("RGB"), alpha

    def _alpha_of_key(self, image: Image.Image, frame: Frame) -> Image.Image | None:
        """Make alpha 0 where all bits equal the transparent colour. None if there is no such colour."""
        channels = len(image.getbands())
        key = self._chunks.ancillary.get(b"tRNS", b"")
        if len(key) < 2 * channels:
            return None
        samples = struct.unpack_from(f">{channels}H", key)
        planes = self._planes(image, frame, samples)
        alpha = Image.new("L", image.size)
        for box in strips(image.size):
            equal = reduce(ImageChops.darker, (_where(plane.crop(box), color) for plane, color in planes))
            alpha.paste(ImageChops.invert(equal), box)
        return alpha

    def _planes(
        self, image: Image.Image, frame: Frame, samples: tuple[int, ...]
    ) -> list[tuple[Image.Image, list[int]]]:
        """Return images of 8 bits a channel, each with its colour where pixels equal `samples`."""
        top = 2**self._header.depth - 1
        if top < 2**16 - 1:
            return [(image, [(sample & top) * 255 // top for sample in samples])]
        low = _unpack(frame, image.mode, _LOW_BYTES[image.mode], self._header.interlaced)
        return [(image, [sample >> 8 for sample in samples]), (low, [sample & 255 for sample in samples])]


def _unpack(frame: Frame, mode: str, raw_mode: str, interlaced: bool) -> Image.Image:
    data = b"".join(frame.data)
    return Image.frombytes(mode, (frame.width, frame.height), data, "zip", raw_mode, interlaced)


def _where(image: Image.Image, color: list[int]) -> Image.Image:
    """Return 255 where the image has this colour, otherwise 0."""
    equal = (
        image.getchannel(channel).point([255 * (level == value) for level in range(256)])
        for channel, value in enumerate(color)
    )
    return reduce(ImageChops.darker, equal)


def _place(
    pixels: Image.Image, alpha: Image.Image | None, frame: Frame, size: tuple[int, int]
) -> tuple[Image.Image, Image.Image]:
    """Put a smaller frame on a transparent canvas."""
    canvas, mask = Image.new(pixels.mode, size), Image.new("L", size)
    canvas.paste(pixels, (frame.x, frame.y))
    mask.paste(alpha or Image.new("L", pixels.size, 255), (frame.x, frame.y))
    return canvas, mask
