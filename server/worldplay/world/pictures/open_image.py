"""Opens picture files that strangers send."""

import io
import struct

import numpy as np
from PIL import ExifTags, Image

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_ASPECT = 10  # longer strips would become huge when scaled to cover a world's picture


# What Pillow's decoders raise on damaged files: random damage gave these, and its code has the others.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
)

_TURNS = {  # that put a picture upright, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(data: bytes, max_bytes: int, max_pixels: int) -> Image.Image:
    """Decode a PNG, JPEG or WebP file from an untrusted peer to an upright RGB image.

    Of an animation it is the first frame; transparent parts become white.
    Raises: ValueError saying what was expected and what was found.
    """
    if not 0 < len(data) <= max_bytes:
        raise ValueError(f"expected an image file of 1 to {max_bytes} bytes, got {len(data)}")
    with _open(data) as image:
        _check_size(image.size, max_pixels)
        try:
            image.load()
            return _flatten(_turn_upright(image))
        except _DAMAGED as error:
            raise ValueError(f"expected a whole {image.format} image, got a damaged one: {error}") from error


def _open(data: bytes) -> Image.Image:
    """Read the header only."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"expected a smaller image: {error}") from error
    except _DAMAGED as error:
        raise ValueError(
            f"expected a PNG, JPEG or WebP image, got {len(data)} bytes that begin with {data[:8]!r}"
        ) from error


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"expected an image of 1 to {max_pixels} pixels, got {width} x {height}")
    if max(size) > MAX_ASPECT * min(size):
        raise ValueError(f"expected an image with sides of at most {MAX_ASPECT} : 1, got {width} x {height}")


def _turn_upright(image: Image.Image) -> Image.Image:
    """As its EXIF says, if that can be read: for nothing in there is a picture refused.

    `ImageOps.exif_transpose` would also write the EXIF anew, and fail where a tag is not of the usual type.
    """
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (*_DAMAGED, AttributeError):
        return image
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image) -> Image.Image:
    """RGB, 8 bits a channel, on white."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
