"""Opens untrusted picture files."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from PIL import Image

from worldplay.world.pictures import jpeg, png_chunks
from worldplay.world.pictures.decoded import Decoded
from worldplay.world.pictures.jpeg import JpegFile
from worldplay.world.pictures.orientation import turn_upright
from worldplay.world.pictures.png import PngFile
from worldplay.world.pictures.to_srgb import flatten
from worldplay.world.pictures.webp import WebpFile

MAX_ASPECT = 10  # longer strips would become huge when scaled to cover a world's picture


class _File(Protocol):
    size: tuple[int, int]

    def decode(self) -> Decoded: ...


def open_image(data: bytes, max_bytes: int, max_pixels: int) -> Image.Image:
    """Decode a PNG, JPEG or WebP file from an untrusted peer to an upright RGB image.

    The result looks as in a browser: in sRGB, only the first frame of an animation, on white. Metadata that
    cannot be read is ignored.
    Raises: ValueError saying what was expected and what was found.
    """
    if not 0 < len(data) <= max_bytes:
        raise ValueError(f"expected an image file of 1 to {max_bytes} bytes, got {len(data)}")
    name = _format_of(data)
    with _blaming_picture(name):
        file = _open(name, data)
    _check_size(file.size, max_pixels)
    with _blaming_picture(name):
        decoded = file.decode()
        return turn_upright(flatten(decoded), decoded.exif)


def _format_of(data: bytes) -> str:
    """Find the format by the first bytes. Raises: ValueError."""
    if data.startswith(png_chunks.START):
        return "PNG"
    if data.startswith(jpeg.START):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    got = f"{len(data)} bytes that begin with {data[:8]!r}"
    raise ValueError(f"expected a PNG, JPEG or WebP image, got {got}")


def _open(name: str, data: bytes) -> _File:
    """Read the headers only."""
    match name:
        case "PNG":
            return PngFile(data)
        case "JPEG":
            return JpegFile(data)
    return WebpFile(data)


@contextmanager
def _blaming_picture(name: str) -> Iterator[None]:
    """Turn any error of a decoder into a ValueError about the picture, unless memory runs out."""
    try:
        yield
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(f"expected a smaller image: {error}") from error
    except Exception as error:
        raise ValueError(f"expected a whole {name} image, got a damaged one: {error}") from error


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"expected an image of 1 to {max_pixels} pixels, got {width} x {height}")
    if max(size) > MAX_ASPECT * min(size):
        raise ValueError(f"expected an image with sides of at most {MAX_ASPECT} : 1, got {width} x {height}")
