"""Makes previews of start views that show the model's first frame, not the rendered picture."""

from dataclasses import replace
from io import BytesIO

from PIL import Image

from worldplay.world.camera import Motion
from worldplay.world.steering import TrajectorySteering, WalkRequest
from worldplay.world.world import StartView, World

SEED = 0


def show_first_frames(world: World) -> World:
    """Return the world with the first frame of a walk as the preview of each start view.

    This generates one chunk for each view: half a second for the shipped world.
    """
    return replace(world, views=tuple(_show_first_frame(world, view) for view in world.views))


def _show_first_frame(world: World, view: StartView) -> StartView:
    walk = world.open_walk(WalkRequest(view=view.name, seed=SEED))
    stand_still = TrajectorySteering([Motion()] * world.chunk_latents)
    frames = next(walk.decode(walk.begin_chunk(stand_still).finish()))
    preview = BytesIO()
    Image.fromarray(frames[0]).save(preview, "JPEG", quality=90)
    return replace(view, preview=preview.getvalue())
