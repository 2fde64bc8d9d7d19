"""Pictures with odd metadata, all of which browsers show."""

import zlib

from support.picture_files import IMAGE, VP8L, green, jpeg, riff, segment, webp, with_segments
from support.png import RGB, SIGNATURE, chunk, header
from support.shown_pictures import Shown

METADATA = (
    Shown(
        "jpeg, padded",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), bytes([255]) * 10**6, segment(0xED, b"Photoshop")),
        (59, 200, 60),
    ),
    Shown(
        "png, 100 MB of compressed text",
        lambda: green(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8)))),
        (60, 200, 60),
    ),
    Shown(
        "png, 100 MB of international text",
        lambda: green(chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(10**8)))),
        (60, 200, 60),
    ),
    Shown(
        "png, 90 texts of 1 MB",
        lambda: green(*90 * [chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**6)))]),
        (60, 200, 60),
    ),
    Shown(
        "png, text behind the pixels",
        lambda: green(after=(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**7))),)),
        (60, 200, 60),
    ),
    Shown(
        "png, text with a wrong checksum", lambda: green(chunk(b"iTXt", b"k\0\0\0\0\0x", 5)), (60, 200, 60)
    ),
    Shown("png, text with an unknown method", lambda: green(chunk(b"zTXt", b"k\0\x07x")), (60, 200, 60)),
    Shown("png, EXIF with a wrong checksum", lambda: green(chunk(b"eXIf", b"II*\0", 5)), (60, 200, 60)),
    Shown("png, sizes cut off", lambda: green(chunk(b"pHYs", b"x")), (60, 200, 60)),
    Shown("png, unknown chunk", lambda: green(chunk(b"abCD", b"x", 3)), (60, 200, 60)),
    Shown("png, chunk with an odd name", lambda: green(chunk(b"a1C\xff", b"x")), (60, 200, 60)),
    Shown(
        "png, orientation in XMP",
        lambda: green(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation='6'/>")),
        (60, 200, 60),
    ),
    Shown("png, more behind the end", lambda: green() + b"more" * 9, (60, 200, 60)),
    Shown("png, wrong checksum of the end", lambda: green()[:-4] + b"abcd", (60, 200, 60)),
    Shown(
        "png, pixels in parts",
        lambda: b"".join(
            [
                SIGNATURE,
                header(3, 2, 8, RGB),
                *(chunk(b"IDAT", part) for part in (IMAGE[8:13], b"", IMAGE[13:-4])),
                chunk(b"IEND"),
            ]
        ),
        (60, 200, 60),
    ),
    Shown(
        "jpeg, Adobe cut off",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xEE, b"Adobe")),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, JFIF cut off",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xE0, b"JFIF")),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, Photoshop cut off",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04")),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, several pictures that are not there",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff")),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, profile cut off",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xE2, b"ICC_PROFILE\0\1")),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, no profile at all",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xE2, b"ICC_PROFILE\0\1\1" + b"z" * 200)),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, EXIF that ends nowhere",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, empty comment",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), segment(0xFE, b"")),
        (59, 200, 60),
    ),
    Shown(
        "jpeg, segment of no length",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), b"\xff\xe5\0\0"),
        (59, 200, 60),
    ),
    Shown("jpeg, more behind the end", lambda: jpeg("RGB", (60, 200, 60)) + b"more" * 9, (59, 200, 60)),
    Shown(
        "webp, unknown chunks",
        lambda: riff(
            (b"VP8X", b"\0\0\0\0\3\0\0\1\0\0"), (b"ABCD", b"xyz"), (b"VP8L", VP8L), (b"zzzz", b"q" * 9)
        ),
        (60, 200, 60),
    ),
    Shown(
        "webp, profile announced but missing",
        lambda: riff((b"VP8X", b"\x20\0\0\0\3\0\0\1\0\0"), (b"VP8L", VP8L)),
        (60, 200, 60),
    ),
    Shown("webp, more behind the end", lambda: webp((60, 200, 60)) + b"more" * 9, (60, 200, 60)),
)
