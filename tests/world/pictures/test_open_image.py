import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.WebPImagePlugin import WebPImageFile

from support import icc
from support.picture_files import COLORS_OF_PALETTE, IMAGE, encode, green, iccp, indexed, riff, trns
from support.png import GREY, PALETTE, RGB, SIGNATURE, chunk, header, png
from worldplay.world.pictures.open_image import open_image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def opened(data: bytes, max_bytes: int = 100_000, max_pixels: int = 100_000) -> Image.Image:
    image = open_image(data, max_bytes, max_pixels)
    assert image.mode == "RGB"
    return image


def colors(image: Image.Image) -> list[tuple[int, int, int]]:
    return [tuple(color) for color in np.asarray(image).reshape(-1, 3).tolist()]


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_opens_what_browsers_send(image_format: str) -> None:
    image = opened(encode(Image.new("RGB", (32, 24), RED), image_format))
    assert image.size == (32, 24)
    assert np.abs(np.array(image.getpixel((5, 5))) - RED).max() <= 3


def test_lossless_pixels_are_kept() -> None:
    image = noise()
    np.testing.assert_array_equal(np.asarray(opened(encode(image))), np.asarray(image))


def test_cmyk_becomes_rgb() -> None:
    red = opened(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(np.array(red.getpixel((4, 4))) - RED).max() <= 3


def test_transparent_parts_become_white() -> None:
    image = Image.new("RGBA", (2, 1), (*RED, 0))
    image.putpixel((1, 0), (*BLUE, 255))
    assert colors(opened(encode(image))) == [WHITE, BLUE]


def test_transparent_palette_entry_becomes_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    assert colors(opened(encode(image, transparency=0))) == [WHITE, BLUE]


def test_grey_with_16_bits_is_scaled_not_clipped() -> None:
    image = Image.fromarray(np.array([[0, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert colors(opened(encode(image))) == [(0,) * 3, (128,) * 3, WHITE]


def test_exif_orientation_turns_the_image_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    lying = Image.new("RGB", (2, 1), RED)
    lying.putpixel((1, 0), BLUE)
    upright = opened(encode(lying, exif=exif))
    assert upright.size == (1, 2)
    assert colors(upright) == [RED, BLUE]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_does(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(noise(), exif=exif)
    np.testing.assert_array_equal(opened(data), ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def tags(*entries: tuple[int, int, bytes]) -> bytes:
    """Little-endian EXIF, each entry (tag, type, 4 bytes of value)."""
    body = b"".join(struct.pack("<HHL4s", tag, kind, 1, value) for tag, kind, value in entries)
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, len(entries)) + body + bytes(4)


ON_ITS_SIDE = (0x0112, 3, b"\x06\0\0\0")
SOFTWARE_AS_FLOAT = (0x0131, 11, struct.pack("<f", 1.5))  # where a text belongs


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_image_is_turned_whatever_else_its_exif_holds(image_format: str) -> None:
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
def test_image_whose_orientation_is_unreadable_is_left_as_it_lies(exif: bytes, image_format: str) -> None:
    assert opened(encode(noise(), image_format, exif=exif)).size == (64, 48)


@pytest.mark.parametrize("image_format", ["PNG", "WEBP"])
def test_animation_gives_its_first_frame(image_format: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in (RED, BLUE)]
    data = encode(frames[0], image_format, save_all=True, append_images=frames[1:])
    assert np.abs(np.array(opened(data).getpixel((8, 8))) - RED).max() <= 3


@pytest.mark.parametrize(
    "data", [b"GIF89a" + bytes(50), b"hello", b"\x89PNG\r\n\x1a\n", encode(noise(), "BMP")]
)
def test_other_formats_are_refused(data: bytes) -> None:
    with pytest.raises(
        ValueError, match=r"expected a PNG, JPEG or WebP image, got .* bytes that begin with b'"
    ):
        opened(data)


def test_empty_file_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an image file of 1 to 100000 bytes, got 0"):
        opened(b"")


def test_large_file_is_refused_unread() -> None:
    with pytest.raises(ValueError, match="expected an image file of 1 to 100000 bytes, got 100001"):
        opened(bytes(100_001))


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP"])
def test_truncated_file_is_refused(image_format: str) -> None:
    data = encode(noise(), image_format)
    with pytest.raises(ValueError, match=r"expected a (whole|PNG)"):
        opened(data[: len(data) // 2])


def test_damaged_file_is_refused() -> None:
    data = bytearray(encode(noise()))
    data[200] ^= 0xFF
    with pytest.raises(ValueError, match="expected a whole PNG image, got a damaged one: "):
        opened(bytes(data))


def png_claiming(width: int, height: int) -> bytes:
    pixels = chunk(b"IDAT", zlib.compress(bytes(3 * width * min(height, 1))))
    return SIGNATURE + header(width, height, 8, RGB) + pixels + chunk(b"IEND")


# Pillow itself would warn of the last but one, and refuse the last.
@pytest.mark.parametrize("size", [(400, 251), (9_000, 9_000), (11_000, 11_000), (60_000, 60_000)])
def test_too_many_pixels_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=f"expected an image of 1 to 100000 pixels, got {size[0]} x {size[1]}"
    ):
        opened(png_claiming(*size))


def test_decompression_bomb_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a (smaller|whole WebP) image"):  # by Pillow's version
        opened(riff((b"VP8X", b"\0\0\0\0\xfe\x3f\0\xfe\x3f\0"), (b"VP8L", b"\x2f")))


def test_zero_size_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a"):
        opened(png_claiming(0, 5))


def test_strip_that_would_become_huge_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an image with sides of at most 10 : 1, got 23 x 2"):
        opened(encode(noise(23, 2)))


DAMAGED = {
    "palette missing": indexed(),
    "palette empty": indexed(chunk(b"PLTE")),
    "palette of a length that is not in threes": indexed(chunk(b"PLTE", bytes(10))),
    "palette of 300 colours": indexed(chunk(b"PLTE", bytes(900))),
    "palette behind the pixels": png([[0, 1]], PALETTE, 8, after=[COLORS_OF_PALETTE]),
    "palette with a wrong checksum": indexed(chunk(b"PLTE", bytes(12), 5)),
    "pixels with a wrong checksum": green().replace(IMAGE, chunk(b"IDAT", IMAGE[8:-4], 7)),
    "pixels that do not unpack": green().replace(IMAGE, chunk(b"IDAT", b"\x78\x9c" + bytes(30))),
    "pixels missing": SIGNATURE + header(3, 2, 8, RGB) + chunk(b"IEND"),
    "pixels empty": SIGNATURE + header(3, 2, 8, RGB) + chunk(b"IDAT") + chunk(b"IEND"),
    "header with a wrong checksum": SIGNATURE + header(3, 2, 8, RGB)[:-4] + bytes(4) + IMAGE,
    "header twice": SIGNATURE + header(3, 2, 8, RGB) + green()[8:],
    "unknown critical chunk": green(chunk(b"ABCD", b"x")),
    "3 bits": SIGNATURE + header(3, 2, 3, GREY) + IMAGE,
    "colour type 7": SIGNATURE + header(3, 2, 8, 7) + IMAGE,
    "4 bits of colour": SIGNATURE + header(3, 2, 4, RGB) + IMAGE,
    "a row of no known filter": SIGNATURE
    + header(3, 2, 8, RGB)
    + chunk(b"IDAT", zlib.compress(b"\x09" + bytes(19))),
    "jpeg without tables": b"\xff\xd8\xff\xc0\0\x0b\x08\0\x08\0\x08\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0",
    "jpeg of 12 bits": b"\xff\xd8\xff\xc1\0\x0b\x0c\0\x08\0\x08\1\1\x11\0",
    "jpeg that is only a beginning": b"\xff\xd8\xff\xe0",
    "webp without pixels": riff((b"VP8X", b"\0\0\0\0\3\0\0\1\0\0")),
    "webp that is only a beginning": b"RIFF\4\0\0\0WEBP",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_the_pictures_fault(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected a whole (PNG|JPEG|WebP) image, got a damaged one: "):
        opened(DAMAGED[name])


@pytest.mark.parametrize(
    "error", [AttributeError, RecursionError, AssertionError, UserWarning, struct.error, zlib.error, OSError]
)
@pytest.mark.parametrize("method", ["_open", "load"])
def test_whatever_a_decoder_raises_is_the_pictures_fault(
    monkeypatch: pytest.MonkeyPatch, method: str, error: type[Exception]
) -> None:
    def fail(image: Image.Image) -> None:
        raise error("no luck")

    monkeypatch.setattr(WebPImageFile, method, fail)
    with pytest.raises(ValueError, match="expected a whole WebP image, got a damaged one: no luck"):
        opened(encode(noise(), "WEBP"))


def test_lack_of_memory_is_not_the_pictures_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(WebPImageFile, "load", fail)
    with pytest.raises(MemoryError):
        opened(encode(noise(), "WEBP"))


FILES = {
    "png": green(iccp(icc.ADOBE_RGB), trns(60, 200, 60)),
    "indexed png": indexed(COLORS_OF_PALETTE, chunk(b"tRNS", b"\0\x80")),
    "interlaced png": png([[0x1234, 0xFFFF]] * 9, GREY, 16, [trns(0x1234)], interlaced=True),
    "jpeg": encode(noise(), "JPEG", icc_profile=icc.ADOBE_RGB),
    "cmyk jpeg": encode(noise().convert("CMYK"), "JPEG"),
    "webp": encode(noise(), "WEBP", icc_profile=icc.ADOBE_RGB),
    "lossless webp": encode(noise().convert("RGBA"), "WEBP", lossless=True),
}


def with_valid_checksums(data: bytes) -> bytes:
    """What damage does to a PNG beyond its checksums, which would hide it."""
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, position)
        parts.append(chunk(data[position + 4 : position + 8], data[position + 8 : position + 8 + length]))
        position += 12 + length
    return b"".join(parts)


@pytest.mark.parametrize("name", FILES)
def test_random_damage_opens_or_is_refused(name: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        damaged = bytearray(FILES[name])
        for position in rng.integers(8, len(damaged), rng.integers(1, 5)):
            damaged[position] = rng.integers(256)
        data = with_valid_checksums(bytes(damaged)) if "png" in name else bytes(damaged)
        try:
            opened(data, 10**6, 10**6)
        except ValueError as error:
            assert str(error).startswith("expected a")  # noqa: PT017


def test_file_without_an_end_opens() -> None:
    assert colors(opened(green()[:-12])) == [(60, 200, 60)] * 6


def test_format_is_what_the_bytes_say() -> None:
    assert opened(encode(noise(), "WEBP")).size == (64, 48)
    with pytest.raises(ValueError, match="expected a PNG, JPEG or WebP image, got"):
        opened(b"\0\0\0\x1cftypavif" + bytes(200))


def test_colours_of_a_large_sparse_key_are_compared_everywhere() -> None:
    samples = np.zeros((1_100, 1_000), np.uint16)  # several strips
    samples[::100] = 0x1234
    image = np.asarray(opened(png(samples, GREY, 16, [trns(0x1234)]), 10**7, 2 * 10**6))
    assert (image[::100] == 255).all()
    assert image.sum() == 11 * 1_000 * 3 * 255
