"""Clips that tests ask for, and what is in their files."""

import io
from pathlib import Path
from typing import Any

import av
from numpy.typing import NDArray

from worldplay.clips.plan import ClipOptions, ClipPlan, ClipTarget, plan_clip
from worldplay.clips.writer import ClipReport, write_clip
from worldplay.commands.render import RenderOptions
from worldplay.world.world import World


def make_plan(target: ClipTarget, **options: Any) -> ClipPlan:
    return plan_clip(target, ClipOptions(**{"prompt": "", "seed": 7, **options}))


def render_options(out: Path, **given: Any) -> RenderOptions:
    """The options of `worldplay render`; what is not given is left out."""
    unset = dict.fromkeys(
        ("image", "view", "pose", "num_frames", "seed", "steps", "variant", "size", "metadata")
    )
    return RenderOptions(**{**unset, "out": out, "prompt": "", "overlay": False, **given})


def write(world: World, plan: ClipPlan, out: Path) -> ClipReport:
    return write_clip(world, plan, out, lambda frames_done: None, overlay=False)


def decode(data: bytes) -> list[NDArray[Any]]:
    """The frames of a file, [H, W, 3] uint8 each."""
    with av.open(io.BytesIO(data), "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
