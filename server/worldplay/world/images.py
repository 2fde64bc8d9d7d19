"""Start images: opening what a peer sends, fitting it to the world's size, conditioning the model on it."""

import io
import struct
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import ExifTags, Image
from torch import Tensor

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_ASPECT = 10  # longer strips would become huge when scaled to cover a world's picture

_BUCKET_UNIT = 16
_BUCKET_AREA = 640 * 640
_BUCKET_ASPECT = 4

# What Pillow's decoders raise on damaged files: random damage gave these, and its code has the others.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
)

_TURNS = {  # that put a picture upright, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(data: bytes, max_bytes: int, max_pixels: int) -> Image.Image:
    """Decode a PNG, JPEG or WebP file from an untrusted peer to an upright RGB image.

    Of an animation it is the first frame; transparent parts become white.
    Raises: ValueError saying what was expected and what was found.
    """
    if not 0 < len(data) <= max_bytes:
        raise ValueError(f"expected an image file of 1 to {max_bytes} bytes, got {len(data)}")
    with _open(data) as image:
        _check_size(image.size, max_pixels)
        try:
            image.load()
            return _flatten(_turn_upright(image))
        except _DAMAGED as error:
            raise ValueError(f"expected a whole {image.format} image, got a damaged one: {error}") from error


def _open(data: bytes) -> Image.Image:
    """Read the header only."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"expected a smaller image: {error}") from error
    except _DAMAGED as error:
        raise ValueError(
            f"expected a PNG, JPEG or WebP image, got {len(data)} bytes that begin with {data[:8]!r}"
        ) from error


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if not 0 < width * height <= max_pixels:
        raise ValueError(f"expected an image of 1 to {max_pixels} pixels, got {width} x {height}")
    if max(size) > MAX_ASPECT * min(size):
        raise ValueError(f"expected an image with sides of at most {MAX_ASPECT} : 1, got {width} x {height}")


def _turn_upright(image: Image.Image) -> Image.Image:
    """As its EXIF says, if that can be read: for nothing in there is a picture refused.

    `ImageOps.exif_transpose` would also write the EXIF anew, and fail where a tag is not of the usual type.
    """
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (*_DAMAGED, AttributeError):
        return image
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image) -> Image.Image:
    """RGB, 8 bits a channel, on white."""
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def fit_image(image: Image.Image, width: int, height: int) -> Image.Image:
    """Scale an RGB image to cover width x height and cut out the middle (docs/worldplay-model.md 13)."""
    scale = max(width / image.width, height / image.height)
    scaled = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = round((scaled.width - width) / 2), round((scaled.height - height) / 2)
    return scaled.crop((left, top, left + width, top + height))


def image_to_pixels(image: Image.Image) -> Tensor:
    """RGB image to a clip of one frame: [1, 3, 1, H, W] float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.array(image, dtype=np.float32)) / 255
    return rearrange(pixels * 2 - 1, "h w c -> 1 c 1 h w")


def frames_to_pixels(frames: NDArray[np.uint8]) -> Tensor:
    """Video frames [..., F, H, W, 3] RGB to clips: [..., 3, F, H, W] float32 in [-1, 1], on the CPU."""
    return rearrange(torch.from_numpy(frames), "... f h w c -> ... c f h w").float() / 127.5 - 1


def pixels_to_frames(pixels: Tensor) -> NDArray[np.uint8]:
    """Clips [..., 3, F, H, W] in [-1, 1] to video frames: [..., F, H, W, 3] RGB."""
    scaled = pixels.float().add(1).mul(127.5).round().to(torch.uint8)
    return rearrange(scaled, "... c f h w -> ... f h w c").cpu().numpy()


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


def condition_channels(image_latent: Tensor, num_latents: int, *, first: bool) -> Tensor:
    """What a span of latents is told about the start image: [B, C + 1, num_latents, h, w], the last a mask.

    Args:
        image_latent: [B, C, 1, h, w], scaled.
        first: whether the span begins with the walk's first latent, the only one that is told anything.
    """
    batch, channels, _, height, width = image_latent.shape
    condition = image_latent.new_zeros(batch, channels + 1, num_latents, height, width)
    if first:
        condition[:, :channels, :1] = image_latent
        condition[:, channels, 0] = 1
    return condition
