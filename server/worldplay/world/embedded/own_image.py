"""Finds the picture that another one looks most like, however it was lit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worldplay.world.pictures.fit import fit_image

WIDTH, HEIGHT = 20, 12  # enough for where things are and what colour they have, too few for what they are

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


def find_nearest(picture: Image.Image, others: Sequence[Image.Image]) -> int:
    """The index of the picture that looks most like `picture`; of equals the first.

    RGB images of any size; each is fitted to the size of the first of `others` before it is compared.
    """
    width, height = others[0].size
    wanted = _thumbnail(picture, width, height)
    return int(np.argmin([np.square(_thumbnail(other, width, height) - wanted).mean() for other in others]))


def _thumbnail(picture: Image.Image, width: int, height: int) -> NDArray[np.float64]:
    """[HEIGHT, WIDTH, 3] in OKLab less its mean lightness: how bright it is says nothing of the place."""
    small = fit_image(picture, width, height).resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    encoded = np.asarray(small, np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    lab = np.cbrt(linear @ _LMS_FROM_RGB.T) @ _LAB_FROM_LMS.T
    lab[..., 0] -= lab[..., 0].mean()
    return lab
