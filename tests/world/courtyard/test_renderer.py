"""The courtyard's pictures: deterministic, and projected by the camera's conventions."""

import numpy as np
import pytest
from PIL import Image

from support.paths import DATA
from worldplay.world.camera import DEFAULT_INTRINSICS
from worldplay.world.courtyard.light import LIGHTS
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.scene import BALLS, stand_pose
from worldplay.world.courtyard.views import VIEWPOINTS


def test_render_twice_gives_the_same_picture() -> None:
    poses = np.stack([view.c2w for view in VIEWPOINTS])
    first = render(poses, 48, 80)
    assert first.shape == (3, 48, 80, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, render(poses, 48, 80))


def test_the_place_is_the_one_that_was_learned() -> None:
    """A change of the scene asks for new weights, and then for new pictures here: a row for each light."""
    views = np.stack([view.c2w for view in VIEWPOINTS])
    rows = [np.concatenate(list(render(views, 48, 80, light)), axis=1) for light in LIGHTS]
    known = np.asarray(Image.open(DATA / "court_views.png"))
    difference = np.abs(np.concatenate(rows).astype(int) - known)
    assert difference.mean() < 0.1
    assert np.quantile(difference, 0.999) <= 2


@pytest.mark.parametrize("light", LIGHTS)
def test_edges_are_smooth(light: str) -> None:
    """Each pixel is nearer to the mean over its area than one ray through its middle is."""
    view = VIEWPOINTS[1].c2w[None]
    fine = render(view, 6 * 48, 6 * 80, light)[0].astype(float)
    area = fine.reshape(48, 6, 80, 6, 3).mean(axis=(1, 3))
    picture, one_ray = render(view, 48, 80, light)[0], fine[3::6, 3::6]
    assert np.square(picture - area).mean() < 0.5 * np.square(one_ray - area).mean()


@pytest.mark.parametrize("pitch_deg", [-20.0, 0.0, 15.0])
def test_a_ball_appears_where_the_camera_projects_its_centre(pitch_deg: float) -> None:
    ball = BALLS[4]  # the purple one, alone in its colour
    c2w = stand_pose(0.9, -0.9, np.radians(175.0), np.radians(pitch_deg))
    x, y, z, _ = np.linalg.inv(c2w) @ np.array([*ball.centre, 1.0])
    column = int((DEFAULT_INTRINSICS[0, 0] * x / z + 0.5) * 160)
    row = int((DEFAULT_INTRINSICS[1, 1] * y / z + 0.5) * 96)
    red, green, blue = render(c2w[None], 96, 160)[0, row, column].astype(int)
    assert min(red, blue) > green + 60


def test_turning_right_moves_the_picture_left_and_looking_up_moves_it_down() -> None:
    def purple_centre(yaw_deg: float, pitch_deg: float) -> tuple[float, float]:
        picture = render(stand_pose(0.1, -0.9, np.radians(yaw_deg), np.radians(pitch_deg))[None], 96, 160)[0]
        red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
        rows, columns = np.nonzero(np.minimum(red, blue) > green + 60)
        return rows.mean(), columns.mean()

    row, column = purple_centre(180, 0)
    assert purple_centre(190, 0)[1] < column - 5
    assert purple_centre(180, 10)[0] > row + 5
