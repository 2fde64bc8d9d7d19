"""A visitor's own image, in a world that can only show its own place.

The walk starts at the view most similar to the image. Its first frames blend from the image into that view.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worldplay.world.pictures.fit import fit_image

BLENDED_FRAMES = 29  # of the first two chunks: a little over a second

# Images are compared at this size, which is enough for positions and colours of things.
_WIDTH, _HEIGHT = 20, 12

# OKLab (Ottosson, 2020): equal distances look about equally different.
_LMS_FROM_RGB = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB_FROM_LMS = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def find_nearest(image: Image.Image, others: Sequence[Image.Image]) -> int:
    """Find the index of the image most similar to `image`; of equals the first.

    All are RGB images of any size. Each is fitted to the size of `others[0]` before it is compared.
    """
    width, height = others[0].size
    wanted = _thumbnail(image, width, height)
    return int(np.argmin([np.square(_thumbnail(other, width, height) - wanted).mean() for other in others]))


def blend(image: NDArray[np.uint8], frames: NDArray[np.uint8], first_frame: int) -> NDArray[np.uint8]:
    """Blend an image [H, W, 3] into the first frames of a walk. Frame 0 becomes the image itself.

    Args:
        frames: [F, H, W, 3] uint8 RGB, consecutive frames of the walk.
        first_frame: number in the walk of the first of `frames`.
    """
    if first_frame >= BLENDED_FRAMES:
        return frames
    time = np.clip((first_frame + np.arange(len(frames))) / BLENDED_FRAMES, 0.0, 1.0)
    weight = (time * time * (3.0 - 2.0 * time)).reshape(-1, 1, 1, 1)  # of the frames; smoothstep
    return (image * (1.0 - weight) + frames * weight + 0.5).astype(np.uint8)


def _thumbnail(image: Image.Image, width: int, height: int) -> NDArray[np.float64]:
    """Make a small image [12, 20, 3] in OKLab, minus its mean lightness: brightness does not count."""
    small = fit_image(image, width, height).resize((_WIDTH, _HEIGHT), Image.Resampling.BOX)
    encoded = np.asarray(small, np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lab = np.cbrt(linear @ _LMS_FROM_RGB.T) @ _LAB_FROM_LMS.T
    lab[..., 0] -= lab[..., 0].mean()
    return lab
