"""The picture that looks most like another one."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.embedded.own_image import find_nearest

SIZE = (96, 160)  # height, width


@pytest.fixture(scope="module")
def views() -> list[Image.Image]:
    return [Image.fromarray(render(view.c2w[None], *SIZE)[0]) for view in VIEWPOINTS]


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("index", range(len(VIEWPOINTS)))
def test_view_is_found_in_every_light(views: list[Image.Image], index: int, light: str) -> None:
    picture = Image.fromarray(render(VIEWPOINTS[index].c2w[None], *SIZE, light)[0])
    assert find_nearest(picture, views) == index


@pytest.mark.parametrize("index", range(len(VIEWPOINTS)))
def test_view_is_found_in_another_size_and_shape(views: list[Image.Image], index: int) -> None:
    taller = ImageOps.expand(views[index].resize((640, 384)), (0, 100), "grey")
    assert find_nearest(taller, views) == index


def test_brightness_alone_makes_no_difference() -> None:
    ramp = np.linspace(0, 100, 160, dtype=np.uint8)
    rising = Image.fromarray(np.tile(ramp, (96, 1))).convert("RGB")
    falling, grey = ImageOps.mirror(rising), Image.new("RGB", (160, 96), (220, 220, 220))
    brighter = rising.point(lambda value: value + 120)
    assert find_nearest(brighter, [grey, falling, rising]) == 2


def test_of_equals_the_first_is_nearest() -> None:
    red = Image.new("RGB", (32, 16), "red")
    assert find_nearest(Image.new("RGB", (1, 1), "blue"), [red, red]) == 0
