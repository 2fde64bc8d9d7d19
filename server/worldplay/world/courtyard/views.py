"""The courtyard's start views as walks need them: rendered, with a preview and with ground to walk on."""

from collections.abc import Callable
from io import BytesIO

from PIL import Image

from worldplay.world.courtyard.renderer import render
from worldplay.world.courtyard.scene import START_VIEWS, StartView
from worldplay.world.walk import Ground
from worldplay.world.world import View


def render_views(height: int, width: int, make_ground: Callable[[StartView], Ground]) -> tuple[View, ...]:
    """Render all start views in a world's size; `make_ground` is called for each walk that begins at one."""
    return tuple(_render_view(view, height, width, make_ground) for view in START_VIEWS)


def _render_view(
    view: StartView, height: int, width: int, make_ground: Callable[[StartView], Ground]
) -> View:
    picture = Image.fromarray(render(view.c2w[None], height, width)[0])
    preview = BytesIO()
    picture.save(preview, "JPEG", quality=90)
    return View(view.name, view.title, picture, preview.getvalue(), lambda: make_ground(view))
