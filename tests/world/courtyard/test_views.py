"""Where walks in the courtyard start, and the prompts that it suggests."""

import numpy as np

from worldplay.world.courtyard.ground import Ground, WalkGround
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.views import SIGHTS, SUGGESTIONS, VIEWPOINTS, render_views


def test_start_views_stand_on_free_ground_and_differ() -> None:
    assert [view.name for view in VIEWPOINTS] == ["gate", "garden", "tower"]
    assert all(Ground().is_free(view.c2w[0, 3], view.c2w[2, 3]) for view in VIEWPOINTS)
    pictures = render(np.stack([view.c2w for view in VIEWPOINTS]), 24, 40).astype(int)
    assert np.abs(pictures[0] - pictures[1]).mean() > 20


def test_start_views_are_rendered_in_the_size_of_the_world() -> None:
    views = render_views(24, 40, lambda view: WalkGround(view.c2w))
    assert [view.name for view in views] == [view.name for view in VIEWPOINTS]
    assert [view.image.size for view in views] == [(40, 24)] * 3
    assert views[0].preview.startswith(b"\xff\xd8")  # a JPEG


def test_every_light_is_suggested_in_its_order() -> None:
    assert tuple(each.title.lower() for each in SUGGESTIONS) == LIGHTS


def test_five_things_are_worth_finding() -> None:
    assert len(set(SIGHTS)) == 5
