"""`worldplay render`: a clip from the command line, as an MP4 that can be played while it is being made."""

import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from io import FileIO
from pathlib import Path
from queue import SimpleQueue

import typer
from PIL.Image import Image

from worldplay.clips.key_overlay import draw_keys
from worldplay.clips.plan import ClipError, ClipOptions, ClipPlan, ClipTarget, plan_clip
from worldplay.clips.recording import Beginning, read_beginning, read_pose
from worldplay.clips.writer import ChunkDone, ClipFile, Data, Failed, Finished, PassDone, Piece
from worldplay.commands.paths import check_apart, check_writable
from worldplay.engine.engine import Engine
from worldplay.loading import open_world, read_spec
from worldplay.settings import ModelSettings
from worldplay.world.frames import parse_size
from worldplay.world.pictures.open_image import open_image
from worldplay.world.released.files import is_released
from worldplay.world.steering import PosedCamera
from worldplay.world.world import World

MAX_IMAGE_BYTES = 2**28
MAX_IMAGE_PIXELS = 100_000_000
_OPTIONS = {  # of a clip's fields that are called otherwise here
    "num_frames": "--frames",
    "num_inference_steps": "--steps",
    "width": "--size",
    "height": "--size",
}
_FAILURES = {
    "out_of_memory": "not enough memory for this clip: try a smaller --size, and see `worldplay doctor`",
    "internal": "the model failed; what is above says why",
}
STAGES = ("select", "context", "denoise", "decode", "encode")


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What the command line says beyond the settings."""

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
    for path in (options.out, options.metadata):  # all that can be wrong, before the model is loaded
        check_writable(path)
    check_apart(_files(options))
    image, pose = _read_image(options.image), read_pose(options.pose)
    source, target, beginning = _identify(options.image), read_spec(settings), read_beginning(pose)
    options = _recall(options, beginning, target)
    _warn(beginning, target, source)
    _warn_of_shift(beginning, settings)
    height, width = (None, None) if options.size is None else parse_size(options.size)
    wanted = ClipOptions(
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
    plan = _plan(target, wanted)
    world = open_world(settings, sessions=0, clips=1)
    record = render(world, plan, options.out, overlay=options.overlay)
    if options.metadata is not None:
        options.metadata.write_text(json.dumps(_describe(world, plan, record, source), indent=1) + "\n")
    sys.stdout.write(_summarise(world, plan, record, options.out) + "\n")


def _files(options: RenderOptions) -> dict[str, Path | None]:
    """What is read and written, by option."""
    pose = Path(options.pose) if options.pose is not None and os.path.isfile(options.pose) else None
    return {
        "--out": options.out,
        "--json": options.metadata,
        "--image": options.image,
        "--pose": pose,
    }


def _plan(target: ClipTarget, options: ClipOptions) -> ClipPlan:
    """Raises: ValueError naming the option at fault."""
    try:
        return plan_clip(target, options)
    except ClipError as error:
        option = _OPTIONS.get(error.field, f"--{error.field}")
        raise ValueError(f"{option}: {error.reason}") from None


def _recall(options: RenderOptions, beginning: Beginning, target: ClipTarget) -> RenderOptions:
    """Begin as a recorded walk did where the command line leaves it open, and say so.

    Raises: ValueError if it began at a picture and neither one nor a view is given.
    """
    if beginning.image is not None and options.image is None:
        if options.view is None:
            picture = beginning.image.path
            raise ValueError(f"expected --image, as the recorded walk began at a picture, {picture}")
        sys.stderr.write(f"the recorded walk began at a picture, not at the view {options.view!r}\n")
    recorded = {
        name: value
        for name, value in beginning.model_dump(include={"view", "prompt", "seed", "steps"}).items()
        if value is not None and getattr(options, name) is None
    }
    if options.image is not None and beginning.image is None:
        recorded.pop("view", None)
    if beginning.model not in (None, target.name):  # which may need many more steps, or far fewer
        recorded.pop("steps", None)
    if recorded:
        said = ", ".join(f"{name} {value!r}" for name, value in recorded.items())
        sys.stderr.write(f"from the recorded walk: {said}\n")
    return replace(options, **recorded)


def _warn(beginning: Beginning, target: ClipTarget, image: dict[str, str] | None) -> None:
    """Say what was otherwise in a recorded walk and is the command line's to choose."""
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


def _warn_of_shift(beginning: Beginning, settings: ModelSettings) -> None:
    was, now = beginning.shift, settings.shift
    if is_released(settings.model) and was not in (None, now):
        sys.stderr.write(f"the recorded walk's shift was {was}, not {now}: WORLDPLAY_SHIFT sets it\n")


@dataclass(frozen=True, slots=True)
class Record:
    """How a clip was made."""

    chunks: list[ChunkDone]
    wall_s: float
    cpu_s: float

    def timings_ms(self) -> dict[str, float]:
        """Total by stage."""
        totals: dict[str, float] = defaultdict(float)
        for chunk in self.chunks:
            for stage, time_ms in timings_of(chunk).items():
                totals[stage] += time_ms
        return dict(totals)


def timings_of(chunk: ChunkDone) -> dict[str, float]:
    """A chunk's times in ms, by stage."""
    return {**chunk.report.chunk.timings_ms, "decode": chunk.decode_ms, "encode": chunk.encode_ms}


def render(world: World, plan: ClipPlan, out: Path, *, overlay: bool = False) -> Record:
    """Write a clip to a file, fragment by fragment. What is written when it fails can be played.

    Raises: OSError if the file or the model fails.
    """
    began, began_cpu = time.perf_counter(), time.process_time()
    chunks: list[ChunkDone] = []
    with (
        out.open("wb", buffering=0) as file,
        _pieces(world, plan, overlay) as pieces,
        typer.progressbar(
            _write(pieces, file, chunks),
            length=plan.request.num_chunks * _count_passes(world, plan),
            label=f"{plan.num_frames} frames",
            item_show_func=_show_timings,
            file=sys.stderr,
        ) as bar,
    ):
        for _ in bar:
            pass
    return Record(chunks, time.perf_counter() - began, time.process_time() - began_cpu)


def _count_passes(world: World, plan: ClipPlan) -> int:
    """Of the network for each chunk: one a step, and before them the context's if the model is causal."""
    return (plan.request.walk.steps or world.rollout.config.steps) + world.can_walk


def _write(pieces: Iterator[Piece], file: FileIO, done: list[ChunkDone]) -> Iterator[ChunkDone | None]:
    """Write what comes, at once, and list the chunks of which everything is written.

    Yields: at every pass of the network the newest of them, if any.
    """
    for piece in pieces:
        match piece:
            case Data(data):
                _append(file, data, done)
            case PassDone():
                yield done[-1] if done else None
            case ChunkDone():
                done.append(piece)
            case Failed(code, message):
                raise OSError(f"{_FAILURES.get(code, message)}; {_left(file.name, done)}")


def _append(file: FileIO, data: bytes, done: list[ChunkDone]) -> None:
    try:
        while data:  # of a disk that runs full the last write takes only a part
            data = data[file.write(data) :]
    except OSError as error:
        raise OSError(f"cannot write {file.name}: {error.strerror}; {_left(file.name, done)}") from None


def _left(name: str, done: list[ChunkDone]) -> str:
    """What there is of a file that was not finished."""
    if not done:
        return f"nothing of {name} can be played"
    frames = sum(chunk.report.chunk.num_frames for chunk in done)
    return f"the first {frames} frames of {name} can be played"


@contextmanager
def _pieces(world: World, plan: ClipPlan, overlay: bool) -> Iterator[Iterator[Piece]]:
    """Run an engine for one clip; leaving early stops it."""
    engine = Engine(world, max_sessions=1, max_queued=0)
    queue: SimpleQueue[Piece] = SimpleQueue()
    clip = ClipFile(world, queue.put, draw_keys if overlay else None)
    engine.start()
    try:
        clip.begin(engine, plan)
        yield _take(queue)
    finally:
        clip.close()
        engine.close()


def _take(queue: "SimpleQueue[Piece]") -> Iterator[Piece]:
    """Pieces as they come, up to the end or a failure."""
    while True:
        piece = queue.get()
        if isinstance(piece, Finished):
            return
        yield piece
        if isinstance(piece, Failed):
            return


def _show_timings(chunk: ChunkDone | None) -> str | None:
    if chunk is None:
        return None
    times = timings_of(chunk)
    return " ".join(f"{stage} {times.get(stage, 0.0):.0f}" for stage in STAGES) + " ms"


def _read_image(path: Path | None) -> Image | None:
    if path is None:
        return None
    try:
        return open_image(path.read_bytes(), MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _identify(path: Path | None) -> dict[str, str] | None:
    """Which picture it was: where it lay, and what was in it."""
    return None if path is None else {"path": str(path), "sha256": sha256(path.read_bytes()).hexdigest()}


def _describe(
    world: World, plan: ClipPlan, record: Record, image: dict[str, str] | None
) -> dict[str, object]:
    """All that is needed to make the clip again; as a pose file it is a recorded walk."""
    chunks = [done.report.chunk for done in record.chunks]
    description: dict[str, object] = {
        "model": world.name,
        "size": [world.width, world.height],
        "fps": world.fps,
        "frames": plan.num_frames,
        "seed": plan.seed,
        "prompt": plan.request.walk.prompt,
        "view": plan.request.walk.view,
        "image": image,
        "steps": plan.request.walk.steps or world.rollout.config.steps,
        "shift": world.rollout.config.shift,
        "wall_s": round(record.wall_s, 3),
        "cpu_s": round(record.cpu_s, 3),
        "timings_ms": _rounded(record.timings_ms()),
        "chunks": [
            {
                "index": chunk.report.chunk.index,
                "frames": chunk.report.chunk.num_frames,
                **_rounded(timings_of(chunk)),
            }
            for chunk in record.chunks
        ],
        "poses": [pose.reshape(16).tolist() for chunk in chunks for pose in chunk.poses],
        "labels": [label for chunk in chunks for label in chunk.labels],
    }
    if intrinsics := _given_intrinsics(plan):
        description["intrinsics"] = intrinsics
    return description


def _given_intrinsics(plan: ClipPlan) -> list[object]:
    """Those of every latent, or none."""
    placed = [plan.trajectory.origin, *plan.trajectory.moves]
    return [
        step.intrinsics.tolist()
        for step in placed
        if isinstance(step, PosedCamera) and step.intrinsics is not None
    ]


def _rounded(times_ms: dict[str, float]) -> dict[str, float]:
    return {stage: round(time_ms, 2) for stage, time_ms in times_ms.items()}


def _summarise(world: World, plan: ClipPlan, record: Record, out: Path) -> str:
    times = record.timings_ms()
    stages = ", ".join(f"{stage} {times.get(stage, 0.0) / 1000:.2f}" for stage in STAGES)
    return (
        f"{out}: {plan.num_frames} frames of {world.width}x{world.height} in {record.wall_s:.2f} s "
        f"({plan.num_frames / record.wall_s:.1f} frames/s, {record.cpu_s:.2f} s of CPU); seed {plan.seed}\n"
        f"seconds: {stages}"
    )
