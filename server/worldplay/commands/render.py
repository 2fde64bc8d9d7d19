"""`worldplay render`: renders a clip to an MP4, which can be played while it grows."""

import json
import os
import sys
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from PIL.Image import Image

from worldplay.clips.plan import ClipError, ClipOptions, ClipPlan, ClipTarget, plan_clip
from worldplay.clips.pose_option import RecordedBeginning, is_saved_walk, read_beginning, read_file, read_pose
from worldplay.commands.options import refuse
from worldplay.commands.paths import check_apart, check_writable
from worldplay.commands.progress import Progress
from worldplay.commands.saved_walk import open_with_world
from worldplay.commands.streams import is_stdout
from worldplay.settings import ModelSettings
from worldplay.world.frames import parse_size
from worldplay.world.pictures.open_image import open_image
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.released.files import is_released

if TYPE_CHECKING:
    from worldplay.world.world import World

MAX_IMAGE_BYTES = 2**28
MAX_IMAGE_PIXELS = 100_000_000
_OPTIONS = {  # for those of a clip's fields that have another name on the command line
    "num_frames": "--frames",
    "num_inference_steps": "--steps",
    "width": "--size",
    "height": "--size",
}


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """The options of `render` that are not settings."""

    out: Path
    prompt: str | None
    image: Path | None
    view: str | None
    pose: str | None  # a pose string, JSON, or the path of a JSON file
    num_frames: int | None
    seed: int | None
    steps: int | None
    variant: str | None
    size: str | None  # height x width
    metadata: Path | None
    overlay: bool


def run(settings: ModelSettings, options: RenderOptions) -> None:
    """Load the world and render.

    Raises: ValueError or OSError saying what was expected and what was found.
    """
    for path in (options.out, options.metadata):  # all checks come before the model is loaded
        check_writable(path)
    check_apart(_files(options))
    if is_saved_walk(options.pose):
        _render_saved_walk(settings, options)
        return
    data = None if options.image is None else read_file(options.image)  # a pipe can be read only once
    source, image = _identify(options.image, data), _read_image(options.image, data)
    pose = read_pose(options.pose)
    beginning = read_beginning(pose)
    _check_pose(pose)
    from worldplay.loading import open_ranks, open_world, read_spec  # here, as it takes seconds

    target = read_spec(settings)
    options = _complete(options, beginning, target)
    _warn_of_differences(beginning, target, source)
    _warn_of_shift(beginning, settings)
    plan = _plan(target, _clip_options(options, image, pose))
    if plan.num_unused_poses:
        used, frames = plan.trajectory.num_latents, plan.num_frames
        given = used + plan.num_unused_poses
        sys.stderr.write(f"--pose has {given} poses; the first {used} make {frames} frames\n")
    if is_released(settings.model):
        sys.stderr.write(f"loading {target.name}, which takes minutes\n")
    with open_ranks(settings) as ranks:
        world = open_world(settings, sessions=0, clips=1, ranks=ranks)
        _render(world, plan, options, source)


def _render_saved_walk(settings: ModelSettings, options: RenderOptions) -> None:
    given = {
        "--prompt": options.prompt,
        "--image": options.image,
        "--view": options.view,
        "--frames": options.num_frames,
        "--seed": options.seed,
        "--steps": options.steps,
    }
    path = Path(options.pose or "")
    refuse(f"with a saved walk, {path}", given)
    with open_with_world(settings, path) as (world, snapshot):
        from worldplay.clips.saved_walk import own_picture, plan_saved_walk

        view = None if snapshot.beginning is None else snapshot.beginning.view
        plan = plan_saved_walk(snapshot, world.find_view(view).make_ground())
        _render(world, plan, options, own_picture(snapshot))


def _render(world: "World", plan: ClipPlan, options: RenderOptions, source: dict[str, str] | None) -> None:
    from worldplay.clips.writer import count_passes, write_clip
    from worldplay.commands.render_report import describe, summarise

    progress = Progress(plan.num_frames, count_passes(world, plan), sys.stderr)
    try:
        record = write_clip(world, plan, options.out, progress.step, overlay=options.overlay)
    finally:
        progress.close()
    if options.metadata is not None:
        _write_metadata(options.metadata, describe(world, plan, record, source))
    files = [path for path in (options.out, options.metadata) if path is not None]
    told = sys.stderr if any(map(is_stdout, files)) else sys.stdout
    told.write(summarise(world, plan, record, options.out) + "\n")


def _write_metadata(path: Path, description: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(description, indent=1) + "\n")
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}; the clip itself is complete") from None


def _clip_options(options: RenderOptions, image: Image | None, pose: object) -> ClipOptions:
    height, width = (None, None) if options.size is None else parse_size(options.size)
    return ClipOptions(
        prompt=options.prompt or "",
        view=options.view,
        image=image,
        pose=pose,
        num_frames=options.num_frames,
        seed=options.seed,
        steps=options.steps,
        variant=options.variant,
        width=width,
        height=height,
    )


def _files(options: RenderOptions) -> dict[str, Path | None]:
    """List the files that are read and written, by option."""
    pose = Path(options.pose) if options.pose is not None and os.path.isfile(options.pose) else None
    return {
        "--out": options.out,
        "--json": options.metadata,
        "--image": options.image,
        "--pose": pose,
    }


def _check_pose(pose: object) -> None:
    """Check the pose before the model's libraries are imported. Raises: ValueError if it is invalid."""
    if pose is not None:
        try:
            parse_trajectory(pose)
        except ValueError as error:
            raise ValueError(f"--pose: {error}") from None


def _plan(target: ClipTarget, options: ClipOptions) -> ClipPlan:
    """Plan the clip. Raises: ValueError naming the option at fault."""
    try:
        return plan_clip(target, options)
    except ClipError as error:
        option = _OPTIONS.get(error.field, f"--{error.field}")
        raise ValueError(f"{option}: {error.reason}") from None


def _complete(options: RenderOptions, beginning: RecordedBeginning, target: ClipTarget) -> RenderOptions:
    """Take options that were not given from a recorded walk, and print which.

    Raises: ValueError if the walk began at a picture and neither a picture nor a view is given.
    """
    if beginning.image is not None and options.image is None:
        if options.view is None:
            picture = beginning.image.path
            raise ValueError(f"expected --image, because the recorded walk began at a picture, {picture}")
        sys.stderr.write(f"the recorded walk began at a picture, not at the view {options.view!r}\n")
    recorded = {
        name: value
        for name, value in beginning.model_dump(include={"view", "prompt", "seed", "steps"}).items()
        if value is not None and getattr(options, name) is None
    }
    if options.image is not None and beginning.image is None:
        recorded.pop("view", None)
    if beginning.model not in (None, target.name):  # another model may need many more or far fewer steps
        recorded.pop("steps", None)
    if recorded:
        said = ", ".join(f"{name} {value!r}" for name, value in recorded.items())
        sys.stderr.write(f"from the recorded walk: {said}\n")
    return replace(options, **recorded)


def _warn_of_differences(
    beginning: RecordedBeginning, target: ClipTarget, image: dict[str, str] | None
) -> None:
    """Print in what a recorded walk differs from this clip, where the command line decides."""
    if beginning.model not in (None, target.name):
        sys.stderr.write(f"the recorded walk's model was {beginning.model!r}, not {target.name!r}\n")
    if beginning.size not in (None, [target.width, target.height]):
        width, height = beginning.size
        sys.stderr.write(
            f"the recorded walk's size was {height}x{width}, not {target.height}x{target.width}\n"
        )
    recorded = beginning.image
    if image is not None and recorded is not None and recorded.sha256 not in (None, image["sha256"]):
        sys.stderr.write(f"the recorded walk's picture, {recorded.path}, was not {image['path']}\n")


def _warn_of_shift(beginning: RecordedBeginning, settings: ModelSettings) -> None:
    was, now = beginning.shift, settings.shift
    if is_released(settings.model) and was not in (None, now):
        sys.stderr.write(f"the recorded walk's shift was {was}, not {now}: WORLDPLAY_SHIFT sets it\n")


def _read_image(path: Path | None, data: bytes | None) -> Image | None:
    if data is None:
        return None
    try:
        return open_image(data, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _identify(path: Path | None, data: bytes | None) -> dict[str, str] | None:
    """Identify a picture by its path and the hash of its content."""
    return None if data is None else {"path": str(path), "sha256": sha256(data).hexdigest()}
