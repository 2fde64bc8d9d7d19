"""The pictures that stand for the start views, as the model itself shows them."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from support.tiny_world import make_world
from worldplay.world.embedded.previews import SEED, show_first_frames
from worldplay.world.steering import CircleSteering, WalkRequest


def test_preview_is_the_first_frame_of_a_walk_there() -> None:
    world = make_world()
    shown = show_first_frames(world)
    for view, original in zip(shown.views, world.views, strict=True):
        walk = world.open_walk(WalkRequest(view=view.name, seed=SEED))
        frame = next(walk.decode(walk.begin_chunk(CircleSteering()).finish()))[0]
        preview = np.asarray(Image.open(io.BytesIO(view.preview)), np.float32)
        assert preview.shape == frame.shape
        assert np.abs(preview.mean() - frame.mean()) < 2
        assert view.preview != original.preview
        assert (view.name, view.image) == (original.name, original.image)


def test_views_differ_in_their_previews_alone() -> None:
    world = make_world()
    shown = show_first_frames(world)
    assert replace(shown, views=world.views) == world
