"""Finds the colour profile of a PNG, in the chunk that a browser would use."""

import struct
import zlib
from collections.abc import Callable, Mapping

from worldplay.world.pictures.icc import MAX_PROFILE_BYTES, Primaries, fits, make_rgb_profile

# CIE xy of red, green, blue and white, by the numbers of ITU-T H.273, table 2.
_D65, _D65_P3, _ILLUMINANT_C = (0.3127, 0.3290), (0.314, 0.351), (0.310, 0.316)
_BT709: Primaries = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_SMPTE170: Primaries = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_PRIMARIES: dict[int, Primaries] = {
    1: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _ILLUMINANT_C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _SMPTE170,
    7: _SMPTE170,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _ILLUMINANT_C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65_P3),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
_SRGB_INTENTS = (b"\0", b"\1", b"\2", b"\3")


def _decode_srgb(encoded: float) -> float:
    return encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4


def _power(exponent: float) -> Callable[[float], float]:
    return lambda encoded: encoded**exponent


# By the numbers of H.273, table 3. Video transfer functions are shown with the curve of BT.1886, 2.4.
# PQ (16) and HLG (18) are left out: they need tone mapping.
_CURVES = {
    **dict.fromkeys((1, 6, 11, 14, 15), _power(2.4)),
    4: _power(2.2),
    5: _power(2.8),
    8: _power(1.0),
    13: _decode_srgb,
}


def read_profile(ancillary: Mapping[bytes, bytes], *, is_grey: bool) -> bytes | None:
    """Return an ICC profile; None for sRGB. Chunks that cannot be read are skipped."""
    if (profile := _from_code_points(ancillary.get(b"cICP", b""))) is not None:
        return profile
    embedded = _inflate(ancillary.get(b"iCCP", b""))
    if fits(embedded, "RGB") or (is_grey and fits(embedded, "L")):
        return embedded
    if ancillary.get(b"sRGB") in _SRGB_INTENTS:
        return None
    return _from_gamma(ancillary.get(b"gAMA", b""), ancillary.get(b"cHRM", b""))


def _from_code_points(body: bytes) -> bytes | None:
    """Read cICP: primaries, transfer, a matrix that must be 0, and a range that must be full."""
    if len(body) != 4 or body[2:] != b"\0\x01" or body[0] not in _PRIMARIES or body[1] not in _CURVES:
        return None
    return make_rgb_profile(_PRIMARIES[body[0]], _CURVES[body[1]])


def _inflate(body: bytes) -> bytes:
    """Read iCCP: a name, a method that must be 0, and a compressed profile. Empty if it cannot be read."""
    name, _, rest = body.partition(b"\0")
    if not name or rest[:1] != b"\0":
        return b""
    try:
        return zlib.decompressobj().decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return b""


def _from_gamma(gamma: bytes, chromaticities: bytes) -> bytes | None:
    """Read gAMA, and cHRM if present. A gamma without cHRM that is nearly that of sRGB means sRGB."""
    if len(gamma) != 4 or not any(gamma):
        return None
    exponent = 100_000 / int.from_bytes(gamma, "big")
    if len(chromaticities) != 32:
        near = abs(2.2 / exponent - 1) < 0.05
        return None if near else make_rgb_profile(_BT709, _power(exponent))
    white_x, white_y, *xy = (value / 100_000 for value in struct.unpack(">8L", chromaticities))
    primaries = ((xy[0], xy[1]), (xy[2], xy[3]), (xy[4], xy[5]), (white_x, white_y))
    return make_rgb_profile(primaries, _power(exponent))
