"""Pictures with colour profiles and the like, and what Chromium 156 shows of them."""

import struct
import zlib

from support import icc
from support.picture_files import (
    COLORS_OF_PALETTE,
    GREY_16,
    P3_PRIMARIES,
    cicp,
    gamma,
    green,
    iccp,
    indexed,
    jpeg,
    parts_of_profile,
    segment,
    trns,
    webp,
    with_segments,
)
from support.png import GREY, GREY_ALPHA, RGB, RGBA, chunk, png
from support.shown_pictures import Shown

COLORED = (
    Shown("png, no profile", green, (60, 200, 60)),
    Shown("png, Adobe RGB", lambda: green(iccp(icc.ADOBE_RGB)), (0, 201, 36)),
    Shown("png, Display P3", lambda: green(iccp(icc.DISPLAY_P3)), (0, 205, 0)),
    Shown(
        "png, 16 bits",
        lambda: png([[[60 * 257, 200 * 257, 60 * 257]] * 3] * 2, RGB, 16, [iccp(icc.ADOBE_RGB)]),
        (0, 201, 36),
    ),
    Shown(
        "png with alpha",
        lambda: png([[[60, 200, 60, a] for a in (255, 128, 0)]] * 2, RGBA, 8, [iccp(icc.ADOBE_RGB)]),
        (0, 201, 36),
        (127, 228, 145),
        (255, 255, 255),
    ),
    Shown(
        "png with a palette",
        lambda: indexed(iccp(icc.SWAPPED), COLORS_OF_PALETTE),
        (0, 255, 0),
        (0, 0, 255),
        (255, 0, 0),
        (2, 2, 2),
    ),
    Shown(
        "grey png, grey profile",
        lambda: png([[10, 20, 130]] * 2, GREY, 8, [iccp(icc.LINEAR_GREY)]),
        (56, 56, 56),
        (79, 79, 79),
        (189, 189, 189),
    ),
    Shown(
        "grey png with alpha, grey profile",
        lambda: png([[[130, 255], [130, 128]]] * 2, GREY_ALPHA, 8, [iccp(icc.LINEAR_GREY)]),
        (189, 189, 189),
        (222, 222, 222),
    ),
    Shown(
        "grey png, rgb profile",
        lambda: png([[10, 20, 130]] * 2, GREY, 8, [iccp(icc.SWAPPED)]),
        (3, 3, 3),
        (12, 12, 12),
        (131, 131, 131),
    ),
    Shown("png, grey profile", lambda: green(iccp(icc.LINEAR_GREY)), (60, 200, 60)),
    Shown("png, cmyk profile", lambda: green(iccp(icc.CMYK)), (60, 200, 60)),
    Shown("png, profile cut off", lambda: green(iccp(icc.ADOBE_RGB[:-100])), (60, 200, 60)),
    Shown(
        "png, profile without a curve",
        lambda: green(iccp(icc.ADOBE_RGB.replace(b"rTRC", b"xTRC"))),
        (60, 200, 60),
    ),
    Shown("png, no profile at all", lambda: green(iccp(b"\x99" * 400), gamma(100_000)), (133, 229, 133)),
    Shown(
        "png, profile that does not unpack",
        lambda: green(chunk(b"iCCP", b"x\0\0" + b"\x99" * 40)),
        (60, 200, 60),
    ),
    Shown(
        "png, profile with an unknown method",
        lambda: green(chunk(b"iCCP", b"x\0\7" + zlib.compress(icc.ADOBE_RGB))),
        (60, 200, 60),
    ),
    Shown(
        "png, profile without a name",
        lambda: green(chunk(b"iCCP", b"\0\0" + zlib.compress(icc.ADOBE_RGB))),
        (60, 200, 60),
    ),
    Shown("png, empty profile", lambda: green(chunk(b"iCCP")), (60, 200, 60)),
    Shown(
        "png, profile with a wrong checksum",
        lambda: green(chunk(b"iCCP", b"x\0\0" + zlib.compress(icc.ADOBE_RGB), 5)),
        (60, 200, 60),
    ),
    Shown("png, profile behind the pixels", lambda: green(after=(iccp(icc.ADOBE_RGB),)), (60, 200, 60)),
    Shown(
        "png, profile with 50 MB behind it",
        lambda: green(iccp(icc.ADOBE_RGB + bytes(50_000_000))),
        (0, 201, 36),
    ),
    Shown("png, profile and sRGB", lambda: green(chunk(b"sRGB", b"\0"), iccp(icc.ADOBE_RGB)), (0, 201, 36)),
    Shown("png, linear", lambda: green(gamma(100_000)), (133, 229, 133)),
    Shown("png, gamma 1.8", lambda: green(gamma(55_556)), (77, 210, 77)),
    Shown("png, the usual gamma", lambda: green(gamma(45_455)), (60, 200, 60)),
    Shown("png, gamma 0", lambda: green(gamma(0)), (60, 200, 60)),
    Shown("png, gamma cut off", lambda: green(chunk(b"gAMA", b"\0\1")), (60, 200, 60)),
    Shown(
        "png, gamma with a wrong checksum",
        lambda: green(chunk(b"gAMA", struct.pack(">I", 100_000), 4)),
        (60, 200, 60),
    ),
    Shown("png, gamma and sRGB", lambda: green(gamma(100_000), chunk(b"sRGB", b"\0")), (60, 200, 60)),
    Shown(
        "png, gamma and an unknown intent",
        lambda: green(gamma(100_000), chunk(b"sRGB", b"\x09")),
        (133, 229, 133),
    ),
    Shown("png, primaries", lambda: green(P3_PRIMARIES), (60, 200, 60)),
    Shown("png, primaries and gamma", lambda: green(P3_PRIMARIES, gamma(45_455)), (0, 205, 0)),
    Shown("png, primaries, linear", lambda: green(P3_PRIMARIES, gamma(100_000)), (94, 232, 121)),
    Shown(
        "png, primaries 0 and gamma", lambda: green(chunk(b"cHRM", bytes(32)), gamma(100_000)), (60, 200, 60)
    ),
    Shown(
        "grey png, linear",
        lambda: png([[10, 20, 130]] * 2, GREY, 8, [gamma(100_000)]),
        (56, 56, 56),
        (79, 79, 79),
        (189, 189, 189),
    ),
    Shown(
        "grey png, 16 bits, linear, transparent",
        lambda: png(GREY_16, GREY, 16, [gamma(100_000), trns(0x1234)]),
        (0, 0, 0),
        (255, 255, 255),
        (75, 75, 75),
        (188, 188, 188),
    ),
    Shown("png, code points of sRGB", lambda: green(cicp(1, 13), iccp(icc.ADOBE_RGB)), (60, 200, 60)),
    Shown("png, code points of Display P3", lambda: green(cicp(12, 13)), (0, 203, 11)),
    Shown("png, code points of BT.2020", lambda: green(cicp(9, 14)), (0, 208, 0)),
    Shown("png, code points of BT.709", lambda: green(cicp(1, 1)), (49, 197, 49)),
    Shown("png, code points, linear", lambda: green(cicp(1, 8)), (133, 229, 133)),
    Shown("png, unknown code points", lambda: green(cicp(99, 99), iccp(icc.ADOBE_RGB)), (0, 201, 36)),
    Shown("png, code points cut off", lambda: green(chunk(b"cICP", b"\x0c\x0d")), (60, 200, 60)),
    Shown("jpeg, Adobe RGB", lambda: jpeg("RGB", (60, 200, 60), icc.ADOBE_RGB), (0, 201, 36)),
    Shown("jpeg, grey profile", lambda: jpeg("RGB", (60, 200, 60), icc.LINEAR_GREY), (59, 200, 60)),
    Shown(
        "jpeg, profile in two parts",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), *parts_of_profile()),
        (0, 201, 36),
    ),
    Shown(
        "jpeg, parts in reverse",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), *parts_of_profile()[::-1]),
        (0, 201, 36),
    ),
    Shown(
        "jpeg, part missing",
        lambda: with_segments(jpeg("RGB", (60, 200, 60)), parts_of_profile()[0]),
        (59, 200, 60),
    ),
    Shown("grey jpeg, grey profile", lambda: jpeg("L", 100, icc.LINEAR_GREY), (168, 168, 168)),
    Shown("grey jpeg, rgb profile", lambda: jpeg("L", 100, icc.SWAPPED), (100, 100, 100)),
    Shown("cmyk jpeg", lambda: jpeg("CMYK", (10, 100, 200, 30)), (216, 136, 48)),
    Shown("cmyk jpeg, cmyk profile", lambda: jpeg("CMYK", (0, 255, 255, 0), icc.CMYK), (212, 1, 0)),
    Shown("cmyk jpeg, rgb profile", lambda: jpeg("CMYK", (10, 100, 200, 30), icc.ADOBE_RGB), (216, 136, 48)),
    Shown(
        "jpeg, Adobe without a transform",
        lambda: with_segments(
            jpeg("RGB", (60, 200, 60)).replace(b"JFIF", b"none"), segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
        ),
        (142, 82, 69),
    ),
    Shown("webp, Adobe RGB", lambda: webp((60, 200, 60), icc.ADOBE_RGB), (0, 201, 36)),
    Shown("webp with alpha, Adobe RGB", lambda: webp((60, 200, 60, 128), icc.ADOBE_RGB), (127, 228, 145)),
    Shown("webp, grey profile", lambda: webp((60, 200, 60), icc.LINEAR_GREY), (60, 200, 60)),
    Shown("webp, no profile at all", lambda: webp((60, 200, 60), b"zzz" * 99), (60, 200, 60)),
)
