"""A person's own image in a world that knows only its own place: nearest view, first frames, no harm."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from worldplay.world.camera import Motion
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.views import VIEWPOINTS
from worldplay.world.live_walk import LiveWalk
from worldplay.world.own_image import BLENDED_FRAMES, blend, find_nearest
from worldplay.world.steering import Move, WalkRequest
from worldplay.world.world import World

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


OWN_IMAGE = np.full((2, 2, 3), 200, np.uint8)


class Standing:
    """Steering of a visitor who touches nothing."""

    def predict(self, num_latents: int) -> list[Move]:
        return [Motion()] * num_latents

    def latch(self, num_latents: int) -> list[Move]:
        return [Motion()] * num_latents


def frames_of(walk: LiveWalk) -> NDArray[np.float64]:
    """The next chunk's."""
    frames = list(walk.decode(walk.begin_chunk(Standing()).finish()))
    return np.concatenate(frames).astype(np.float64)


def test_walk_starts_where_it_looks_most_like_the_picture(world: World) -> None:
    for view in world.views:
        picture = ImageOps.posterize(view.image.resize((300, 180)), 3)
        assert world.start_view(None, world.crop(picture)) is view


def test_named_view_counts_more_than_the_nearest(world: World) -> None:
    first, second = world.views[:2]
    assert world.start_view(first.name, world.crop(second.image)) is first


def test_world_that_takes_pictures_as_they_are_keeps_its_first_view(world: World) -> None:
    other = replace(world, own_pictures="as_is")
    assert other.start_view(None, other.crop(world.views[1].image)) is world.views[0]


@pytest.mark.slow
def test_picture_is_the_first_frame_and_blends_into_the_view(world: World) -> None:
    view = world.views[1]
    picture = Image.new("RGB", (world.width, world.height), (210, 40, 200))
    with_picture = world.open_walk(WalkRequest(view=view.name, picture=world.crop(picture), seed=5, steps=1))
    without = world.open_walk(WalkRequest(view=view.name, seed=5, steps=1))
    own_image = np.asarray(picture)
    seen, plain = frames_of(with_picture), frames_of(without)
    away = np.abs(seen - own_image).mean(axis=(1, 2, 3))
    assert away[0] == 0
    assert (np.diff(away) > 0).all()
    assert with_picture.walk.latents.gather([0, 3]).equal(without.walk.latents.gather([0, 3]))
    assert np.abs(plain - own_image).mean() > 30  # the view itself looks different
    frames_of(with_picture), frames_of(without)
    np.testing.assert_array_equal(frames_of(with_picture), frames_of(without))


def test_walk_that_is_reset_begins_with_the_picture_again(world: World) -> None:
    picture = Image.new("RGB", (40, 24), (0, 255, 0))
    walk = world.open_walk(WalkRequest(picture=world.crop(picture), seed=5, steps=1))
    frames_of(walk)
    walk.truncate(0)
    assert np.abs(frames_of(walk)[0] - (0, 255, 0)).max() <= 1


PICTURES = {
    "one pixel": Image.new("RGB", (1, 1), "orange"),
    "a wide strip": Image.new("RGB", (10, 1), "teal"),
    "a tall strip": Image.new("RGB", (40, 400), "teal"),
    "black": Image.new("RGB", (160, 96)),
    "grey": Image.linear_gradient("L").convert("RGB"),
    "large": Image.radial_gradient("L").resize((4000, 3000)).convert("RGB"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_any_picture_starts_a_walk(world: World, name: str) -> None:
    walk = world.open_walk(WalkRequest(picture=world.crop(PICTURES[name]), seed=1, steps=1))
    assert frames_of(walk).shape == (13, world.height, world.width, 3)


@pytest.mark.parametrize(("first_frame", "expected"), [(0, 200), (BLENDED_FRAMES, 100), (500, 100)])
def test_blend_leads_from_the_image_to_the_frames(first_frame: int, expected: int) -> None:
    world = np.full((1, 2, 2, 3), 100, np.uint8)
    assert (blend(OWN_IMAGE, world, first_frame) == expected).all()
