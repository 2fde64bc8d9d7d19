"""Reads the orientation in EXIF metadata, and turns pictures upright."""

import struct

from PIL import Image

_TAG, _SHORT, _UPRIGHT = 0x0112, 3, 1
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn_upright(image: Image.Image, exif: bytes) -> Image.Image:
    """Turn an image as EXIF says. EXIF that cannot be read changes nothing."""
    turn = _TURNS.get(_read_orientation(exif))
    return image if turn is None else image.transpose(turn)


def _read_orientation(exif: bytes) -> int:
    """Read only this tag. Pillow would parse every tag, and warn or fail if one is unusual."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = _ORDERS.get(tiff[:4])
    if order is None:
        return _UPRIGHT
    try:
        (start,) = struct.unpack_from(order + "L", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for index in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHLH", tiff, start + 2 + 12 * index)
            if tag == _TAG:
                return int(value) if kind == _SHORT else _UPRIGHT
    except struct.error:  # the file ends before the tag
        return _UPRIGHT
    return _UPRIGHT
