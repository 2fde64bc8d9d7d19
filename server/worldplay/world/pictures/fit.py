"""Scales and crops a picture to the sizes that the models take."""

from dataclasses import dataclass
from functools import cache

from PIL import Image

_BUCKET_UNIT = 16
_BUCKET_AREA = 640 * 640
_BUCKET_ASPECT = 4


def fit_image(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scale an RGB image to cover width x height and crop the middle (docs/worldplay-model.md 13)."""
    scale = max(width / image.width, height / image.height)
    scaled = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = round((scaled.width - width) / 2), round((scaled.height - height) / 2)
    return scaled.crop((left, top, left + width, top + height))


def bucket_size(width: int, height: int) -> tuple[int, int]:
    """Return the (height, width) of the released model's training at 480p that is nearest in aspect ratio."""
    return min(_buckets(), key=lambda size: abs(round(size[0] / size[1], 5) - height / width))


@cache
def _buckets() -> list[tuple[int, int]]:
    """List all (height, width) from the tallest to the widest; `min` takes the first of equals."""
    buckets = []
    height, width = _BUCKET_AREA // _BUCKET_UNIT, _BUCKET_UNIT
    while height > 0:
        if max(height, width) <= _BUCKET_ASPECT * min(height, width):
            buckets.append((height, width))
        if height * (width + _BUCKET_UNIT) <= _BUCKET_AREA:
            width += _BUCKET_UNIT
        else:
            height -= _BUCKET_UNIT
    return buckets


def siglip_crop(image: Image.Image) -> Image.Image:
    """Fit an image to its own bucket, for the SigLIP processor; the video's size does not matter."""
    height, width = bucket_size(image.width, image.height)
    return fit_image(image, width, height)


@dataclass(frozen=True, slots=True)
class StartPicture:
    """A start image in the two forms that a walk needs."""

    fitted: Image.Image  # in the world's size
    siglip: Image.Image  # see `siglip_crop`


def crop_picture(image: Image.Image, width: int, height: int) -> StartPicture:
    """Crop an image for a world of width x height.

    This takes up to half a second, so the thread that owns the model must not do it.
    """
    return StartPicture(fit_image(image, width, height), siglip_crop(image))
