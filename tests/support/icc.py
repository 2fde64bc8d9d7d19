"""ICC profiles from published colorimetry (XYZ adapted to D50), written by hand."""

import struct


def _s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + _s15(x) + _s15(y) + _s15(z)


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(space: bytes, connection: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    start, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, kind, space, connection)
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(*WHITE)[8:]
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


Xyz = tuple[float, float, float]
WHITE: Xyz = (0.9642, 1.0, 0.8249)


def rgb_profile(red: Xyz, green: Xyz, blue: Xyz, gamma: float) -> bytes:
    tags = {b"wtpt": _xyz(*WHITE), b"rXYZ": _xyz(*red), b"gXYZ": _xyz(*green), b"bXYZ": _xyz(*blue)}
    return _profile(
        b"RGB ", b"XYZ ", b"mntr", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(gamma))
    )


def grey_profile(gamma: float) -> bytes:
    return _profile(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": _xyz(*WHITE), b"kTRC": _gamma(gamma)})


def cmyk_profile() -> bytes:
    """Two points along each ink, so only full inks mean anything: red is L 45, a 70, b 80."""
    grid = []
    for index in range(16):
        cyan, magenta, yellow, black = (index >> bit & 1 for bit in (3, 2, 1, 0))
        lightness = 10 if black else max(5, 100 - 45 * cyan - 50 * magenta - 5 * yellow)
        a, b = (0, 0) if black else (70 * magenta - 60 * cyan, 80 * yellow - 50 * cyan)
        grid += [round(lightness * 2.55), a + 128, b + 128]
    ramp = bytes(range(256))
    unit = b"".join(_s15(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    table = (
        b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + unit + 4 * ramp + bytes(min(v, 255) for v in grid) + 3 * ramp
    )
    return _profile(b"CMYK", b"Lab ", b"prtr", {b"wtpt": _xyz(*WHITE), b"A2B0": table})


ADOBE_RGB = rgb_profile(
    (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 563 / 256
)
DISPLAY_P3 = rgb_profile(
    (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407), 2.2
)
# sRGB with red and green exchanged: what is stored as green is red.
SWAPPED = rgb_profile(
    (0.38515, 0.71687, 0.09708), (0.43607, 0.22249, 0.01392), (0.14307, 0.06061, 0.71410), 2.2
)
LINEAR_GREY = grey_profile(1.0)
CMYK = cmyk_profile()
