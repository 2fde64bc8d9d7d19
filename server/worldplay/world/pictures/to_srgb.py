"""Converts a decoded picture to what a browser shows: sRGB, on white."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageChops, ImageCms

from worldplay.world.pictures.decoded import Decoded, strips

_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)  # all that ImageCms raises


def flatten(decoded: Decoded) -> Image.Image:
    """Convert to RGB in sRGB, 8 bits a channel; transparent parts become white."""
    image = _convert(decoded.pixels, decoded.profile)
    if decoded.alpha is not None:
        for box in strips(image.size):
            image.paste((255, 255, 255), box, ImageChops.invert(decoded.alpha.crop(box)))
    return image


def _convert(pixels: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB. A profile that is damaged or not supported is ignored."""
    if profile is None:
        return _as_rgb(pixels)
    if profile[16:20] == b"RGB ":
        pixels = _as_rgb(pixels)
    try:
        transform = _build_transform(profile, pixels.mode)
        if pixels.mode == "RGB" and _changes_nothing(transform):
            return pixels
        converted = ImageCms.applyTransform(pixels, transform)
    except _ERRORS:
        return _as_rgb(pixels)
    assert converted is not None  # it is None only if the pixels were changed in place
    return converted


def _as_rgb(pixels: Image.Image) -> Image.Image:
    return pixels if pixels.mode == "RGB" else pixels.convert("RGB")


def _build_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.buildTransform(source, srgb, mode, "RGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether a transform is the identity: most profiles are sRGB, and converting is slow."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    converted = ImageCms.applyTransform(Image.fromarray(cube), transform)
    return bool(np.abs(np.asarray(converted, np.int16) - cube).max() <= 1)
