"""The start views of the courtyard, and the prompts that it suggests."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from worldplay.world.camera import Pose
from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.scene import stand_pose
from worldplay.world.walk import Ground
from worldplay.world.world import StartView, Suggestion


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """A named place in the courtyard where a walk may start; level, so that the walk's frame is level too."""

    name: str
    title: str
    c2w: Pose


VIEWPOINTS = (
    Viewpoint("gate", "Before the red gate", stand_pose(0.0, -2.5, 0.0, 0.0)),
    Viewpoint("garden", "The garden corner", stand_pose(-2.4, -2.4, np.radians(45), 0.0)),
    Viewpoint("tower", "Towards the old tree", stand_pose(2.4, -2.4, np.radians(-45), 0.0)),
)

# Things worth finding on a walk, among those that can be recognised in what the model shows.
SIGHTS = (
    "the tower with the golden dome",
    "the lighthouse, which glows at night",
    "the old tree",
    "the turquoise ball on its golden block",
    "the red gate, which you can walk through",
)

# One for each of the courtyard's lights. Without a prompt the first applies.
SUGGESTIONS = (
    Suggestion("Day", "a courtyard on a sunny day"),
    Suggestion("Dusk", "the courtyard at dusk"),
    Suggestion("Night", "the courtyard at night"),
    Suggestion("Snow", "the courtyard in snow"),
)


def render_views(
    height: int, width: int, make_ground: Callable[[Viewpoint], Ground]
) -> tuple[StartView, ...]:
    """Render all start views in a world's size; `make_ground` is called for each walk that begins at one."""
    return tuple(_render_view(viewpoint, height, width, make_ground) for viewpoint in VIEWPOINTS)


def _render_view(
    viewpoint: Viewpoint, height: int, width: int, make_ground: Callable[[Viewpoint], Ground]
) -> StartView:
    picture = Image.fromarray(render(viewpoint.c2w[None], height, width)[0])
    preview = BytesIO()
    picture.save(preview, "JPEG", quality=90)
    return StartView(
        viewpoint.name, viewpoint.title, picture, preview.getvalue(), lambda: make_ground(viewpoint)
    )
