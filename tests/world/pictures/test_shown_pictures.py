"""Pictures come out as a browser shows them."""

import numpy as np
import pytest

from support.annotated_pictures import METADATA
from support.colored_pictures import COLORED
from support.shown_pictures import ANIMATED, TRANSPARENT, Shown
from worldplay.world.pictures.open_image import open_image

ROUNDING = 2


def check(picture: Shown) -> None:
    data = picture.make()
    row = np.asarray(open_image(data, len(data), 1_000))[0].astype(int)
    shown = row[: len(picture.colors)]
    assert np.abs(shown - picture.colors).max() <= ROUNDING, shown.tolist()


@pytest.mark.parametrize("picture", TRANSPARENT, ids=str)
def test_transparent_parts_show_a_white_background(picture: Shown) -> None:
    check(picture)


@pytest.mark.parametrize("picture", ANIMATED, ids=str)
def test_animation_shows_its_first_frame(picture: Shown) -> None:
    check(picture)


@pytest.mark.parametrize("picture", COLORED, ids=str)
def test_colours_become_srgb(picture: Shown) -> None:
    check(picture)


@pytest.mark.parametrize("picture", METADATA, ids=str)
def test_metadata_is_never_a_reason_to_refuse(picture: Shown) -> None:
    check(picture)
