import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from worldplay.world.pictures.open_image import open_image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def encode(image, image_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def opened(data, max_bytes=100_000, max_pixels=100_000):
    image = open_image(data, max_bytes, max_pixels)
    assert image.mode == "RGB"
    return image


def colors(image):
    return [tuple(color) for color in np.asarray(image).reshape(-1, 3).tolist()]


def noise(width=64, height=48):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_opens_what_browsers_send(image_format):
    image = opened(encode(Image.new("RGB", (32, 24), RED), image_format))
    assert image.size == (32, 24)
    assert np.abs(np.array(image.getpixel((5, 5))) - RED).max() <= 3


def test_lossless_pixels_are_kept():
    image = noise()
    np.testing.assert_array_equal(np.asarray(opened(encode(image))), np.asarray(image))


def test_cmyk_becomes_rgb():
    red = opened(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(np.array(red.getpixel((4, 4))) - RED).max() <= 3


def test_transparent_parts_become_white():
    image = Image.new("RGBA", (2, 1), (*RED, 0))
    image.putpixel((1, 0), (*BLUE, 255))
    assert colors(opened(encode(image))) == [WHITE, BLUE]


def test_transparent_palette_entry_becomes_white():
    image = Image.new("P", (2, 1), 0)
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    assert colors(opened(encode(image, transparency=0))) == [WHITE, BLUE]


def test_grey_with_16_bits_is_scaled_not_clipped():
    image = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert colors(opened(encode(image))) == [(0,) * 3, (128,) * 3, WHITE]


def test_exif_orientation_turns_the_image_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    lying = Image.new("RGB", (2, 1), RED)
    lying.putpixel((1, 0), BLUE)
    upright = opened(encode(lying, exif=exif))
    assert upright.size == (1, 2)
    assert colors(upright) == [RED, BLUE]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_does(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(noise(), exif=exif)
    np.testing.assert_array_equal(opened(data), ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def tags(*entries):
    """Little-endian EXIF, each entry (tag, type, 4 bytes of value)."""
    body = b"".join(struct.pack("<HHL4s", tag, kind, 1, value) for tag, kind, value in entries)
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(entries)) + body + bytes(4)


ON_ITS_SIDE = (0x0112, 3, b"\x06\0\0\0")
SOFTWARE_AS_FLOAT = (0x0131, 11, struct.pack("<f", 1.5))  # where a text belongs


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_image_is_turned_whatever_else_its_exif_holds(image_format):
    exif = tags(ON_ITS_SIDE, SOFTWARE_AS_FLOAT)
    assert opened(encode(noise(), image_format, exif=exif)).size == (48, 64)


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0no TIFF here",
        b"Exif\0\0II",
        tags((0x0112, 3, b"\0\0\0\0")),
        tags((0x0112, 3, b"\x09\0\0\0")),
        tags((0x0112, 2, b"6\0\0\0")),
        tags((0x0112, 11, struct.pack("<f", 5.5))),
    ],
)
def test_image_whose_orientation_is_unreadable_is_left_as_it_lies(exif, image_format):
    assert opened(encode(noise(), image_format, exif=exif)).size == (64, 48)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_animation_gives_its_first_frame(image_format):
    frames = [Image.new("RGB", (16, 16), color) for color in (RED, BLUE)]
    data = encode(frames[0], image_format, save_all=True, append_images=frames[1:])
    assert np.abs(np.array(opened(data).getpixel((8, 8))) - RED).max() <= 3


@pytest.mark.parametrize(
    "data", [b"GIF89a" + bytes(50), b"hello", b"\x89PNG\r\n\x1a\n", encode(noise(), "BMP")]
)
def test_other_formats_are_refused(data):
    with pytest.raises(
        ValueError, match=r"expected a PNG, JPEG or WebP image, got .* bytes that begin with b'"
    ):
        opened(data)


def test_empty_file_is_refused():
    with pytest.raises(ValueError, match="expected an image file of 1 to 100000 bytes, got 0"):
        opened(b"")


def test_large_file_is_refused_unread():
    with pytest.raises(ValueError, match="expected an image file of 1 to 100000 bytes, got 100001"):
        opened(bytes(100_001))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_truncated_file_is_refused(image_format):
    data = encode(noise(), image_format)
    with pytest.raises(ValueError, match=r"expected a (whole|PNG)"):
        opened(data[: len(data) // 2])


def test_damaged_file_is_refused():
    data = bytearray(encode(noise()))
    data[200] ^= 0xFF
    with pytest.raises(ValueError, match="expected a whole PNG image, got a damaged one: "):
        opened(bytes(data))


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(3 * width * min(height, 1)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", pixels)
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(400, 251), (9_000, 9_000)])
def test_too_many_pixels_are_refused(size):
    with pytest.raises(
        ValueError, match=f"expected an image of 1 to 100000 pixels, got {size[0]} x {size[1]}"
    ):
        opened(png_claiming(*size))


@pytest.mark.parametrize("side", [11_000, 60_000])  # where Pillow itself would warn and refuse
def test_decompression_bomb_is_refused(side):
    with pytest.raises(ValueError, match="expected a smaller image"):
        opened(png_claiming(side, side))


def test_zero_size_is_refused():
    with pytest.raises(ValueError, match="expected a"):
        opened(png_claiming(0, 5))


def test_strip_that_would_become_huge_is_refused():
    with pytest.raises(ValueError, match="expected an image with sides of at most 10 : 1, got 23 x 2"):
        opened(encode(noise(23, 2)))
