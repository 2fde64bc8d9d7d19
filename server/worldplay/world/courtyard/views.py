"""The courtyard's start views as a walk needs them: rendered, with a preview, and with ground to walk on."""

from collections.abc import Callable
from io import BytesIO

from PIL import Image

from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.scene import StartView
from worldplay.world.walk import Ground
from worldplay.world.world import View


def render_view(view: StartView, height: int, width: int, make_ground: Callable[[], Ground]) -> View:
    """Render a start view; `make_ground` makes the ground of each walk that begins there."""
    picture = Image.fromarray(render(view.c2w[None], height, width)[0])
    preview = BytesIO()
    picture.save(preview, "JPEG", quality=90)
    return View(view.name, view.title, picture, preview.getvalue(), make_ground)
