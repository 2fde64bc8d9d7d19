"""Where walks in the courtyard start, and the prompts that it suggests."""

import numpy as np
import pytest

from worldplay.world.camera import FORWARD_STEP, Motion
from worldplay.world.courtyard.ground import MARGIN, Ground, WalkGround
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.views import SIGHTS, SUGGESTIONS, VIEWPOINTS, Viewpoint, render_views


def test_start_views_stand_on_free_ground_and_differ() -> None:
    assert [view.name for view in VIEWPOINTS] == ["gate", "garden", "tower"]
    assert all(Ground().is_free(view.c2w[0, 3], view.c2w[2, 3]) for view in VIEWPOINTS)
    pictures = render(np.stack([view.c2w for view in VIEWPOINTS]), 24, 40).astype(int)
    assert np.abs(pictures[0] - pictures[1]).mean() > 20


@pytest.mark.parametrize("view", VIEWPOINTS, ids=lambda view: view.name)
def test_ten_seconds_of_straight_on_are_ahead_of_every_start_view(view: Viewpoint) -> None:
    pose = view.c2w
    for _ in range(60):  # of six latents a second
        pose, bumped = Ground().move(pose, Motion(forward=FORWARD_STEP))
        assert not bumped
    assert np.linalg.norm((pose - view.c2w)[:3, 3]) == pytest.approx(4.8)


def test_nobody_comes_nearer_than_half_a_unit_to_anything() -> None:
    assert MARGIN >= 0.5


def test_start_views_are_rendered_in_the_size_of_the_world() -> None:
    views = render_views(24, 40, lambda view: WalkGround(view.c2w))
    assert [view.name for view in views] == [view.name for view in VIEWPOINTS]
    assert [view.image.size for view in views] == [(40, 24)] * 3
    assert views[0].preview.startswith(b"\xff\xd8")  # a JPEG


def test_every_light_is_suggested_in_its_order() -> None:
    assert tuple(each.title.lower() for each in SUGGESTIONS) == LIGHTS


def test_five_things_are_worth_finding() -> None:
    assert len(set(SIGHTS)) == 5
