"""Cuts a picture to the sizes that the models take."""

from dataclasses import dataclass
from functools import cache

from PIL import Image

_BUCKET_UNIT = 16
_BUCKET_AREA = 640 * 640
_BUCKET_ASPECT = 4


def fit_image(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scale an RGB image to cover width x height and cut out the middle (docs/worldplay-model.md 13)."""
    scale = max(width / image.width, height / image.height)
    scaled = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = round((scaled.width - width) / 2), round((scaled.height - height) / 2)
    return scaled.crop((left, top, left + width, top + height))


def bucket_size(width: int, height: int) -> tuple[int, int]:
    """Of the sizes the released model was trained on at 480p, the (height, width) nearest in aspect ratio."""
    return min(_buckets(), key=lambda size: abs(round(size[0] / size[1], 5) - height / width))


@cache
def _buckets() -> list[tuple[int, int]]:
    """All (height, width) from the tallest to the flattest; `min` takes the first of equals."""
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
    """What the SigLIP processor is given: the image fitted to its own bucket, whatever the video's size."""
    height, width = bucket_size(image.width, image.height)
    return fit_image(image, width, height)


@dataclass(frozen=True, slots=True)
class StartPicture:
    """An image in the two forms that a walk needs of it."""

    fitted: Image.Image  # in the world's size
    siglip: Image.Image  # see `siglip_crop`


def cut_picture(image: Image.Image, width: int, height: int) -> StartPicture:
    """For a world of width x height. Takes up to half a second, so not for the thread that owns the model."""
    return StartPicture(fit_image(image, width, height), siglip_crop(image))
