"""Translates between protocol messages and the world: welcome, start pictures, trajectories, chunks."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from PIL import Image

from worldplay.engine.engine import Engine
from worldplay.engine.failures import REASONS, code_of
from worldplay.engine.pacing import LatchMode
from worldplay.engine.ports import ChunkReport
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.web.limits import LIMITS
from worldplay.world.camera import check_rigid, normalize_intrinsics, parse_pose_string
from worldplay.world.frames import FRAMES_PER_LATENT, count_frames
from worldplay.world.pictures.open_image import open_image
from worldplay.world.steering import Move, PosedCamera
from worldplay.world.world import World

GUESSED_WAIT_S = 60.0  # for one place in the queue, before any visit has ended
LEAST_WAIT = 0.25  # of the wait expected at first: who has waited for longer than expected may wait on


def expect_wait_s(position: int, eta_s: float | None, waited_s: float = 0.0) -> float:
    """Return what a client is told about its wait, after it has waited at a position for a while."""
    at_first_s = position * GUESSED_WAIT_S if eta_s is None else eta_s
    return max(at_first_s - waited_s, LEAST_WAIT * at_first_s)


def count_places(engine: Engine) -> m.Places:
    """Tell a newcomer how full the server is."""
    stats = engine.stats()
    free = 0 if stats.queued else engine.num_free
    position = stats.queued + 1
    expected_s = expect_wait_s(position, engine.eta_s(position))
    return m.Places(free=free, queued=stats.queued, eta=0.0 if free else expected_s)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a welcome says beside the world."""

    session: str
    secret: str
    resumed: bool
    latch: LatchMode  # when the engine reads controls
    keeps_snapshots: bool
    records: bool
    times_real_time: float | None  # how fast chunks are made for one client; None if it was not measured
    places: m.Places | None = None  # how full the server is, for a client that knows this field
    max_watchers: int = 0  # how many may watch the walk
    missing_chunks: int | None = None  # that a resumed walk has lost; None if that is not known


def welcome(world: World, greeting: Greeting, fields: AbstractSet[str]) -> m.Welcome:
    """Make the message that describes the world to a client that knows these later fields of the protocol."""
    size, latents = (world.width, world.height), world.chunk_latents
    return m.Welcome(
        protocol=m.PROTOCOL,
        session=greeting.session,
        secret=greeting.secret,
        resumed=greeting.resumed,
        limits=LIMITS,
        worlds=(_describe(world, fields),),
        model=world.name,
        fps=world.fps,
        size=size,
        sizes=(size,),
        chunk=m.ChunkShape(
            latents=latents, frames=FRAMES_PER_LATENT * latents, first_frames=count_frames(latents)
        ),
        can_walk=None if world.can_walk else False,
        latch=greeting.latch if "latch" in fields else None,
        snapshots=greeting.keeps_snapshots if "snapshots" in fields else None,
        times_real_time=greeting.times_real_time if "times_real_time" in fields else None,
        places=greeting.places,
        recording=greeting.records if "recording" in fields else None,
        wanted=True if "wanted" in fields else None,
        watchers=greeting.max_watchers if "watchers" in fields else None,
        rights=_list_rights(greeting) if "rights" in fields else None,
        missing_chunks=greeting.missing_chunks if "missing_chunks" in fields else None,
    )


def _list_rights(greeting: Greeting) -> tuple[m.LinkRight, ...]:
    """Return what links may show on this server."""
    offered: dict[m.LinkRight, bool] = {"watch": greeting.max_watchers > 0, "recording": greeting.records}
    return tuple(right for right, is_offered in offered.items() if is_offered)


def _describe(world: World, fields: AbstractSet[str]) -> m.WorldInfo:
    suggestions = tuple(m.Suggestion(title=each.title, prompt=each.prompt) for each in world.suggestions)
    return m.WorldInfo(
        name=world.name,
        title=world.title,
        views=tuple(m.View(name=view.name, title=view.title, preview=view.preview) for view in world.views),
        suggestions=suggestions or None,
        own_pictures=world.own_pictures,
        sights=(world.sights or None) if "sights" in fields else None,
    )


def check_start(message: m.Start, world: World) -> None:
    """Raises: ProtocolError if the model makes clips only, or has no such view or size."""
    if not world.can_walk:
        raise ProtocolError(
            ErrorCode.BAD_REQUEST,
            f"start: expected a model that can be walked, got {world.name}, which renders clips only: "
            "ask POST /api/generate-video for one",
        )
    size = (world.width, world.height)
    if message.size is not None and message.size != size:
        raise ProtocolError(ErrorCode.BAD_REQUEST, f"start.size: expected {size}, got {message.size}")
    try:
        world.find_view(message.view)
    except ValueError as error:
        raise ProtocolError(ErrorCode.BAD_REQUEST, f"start.view: {error}") from None


def watcher_welcome(world: World, times_real_time: float | None, fields: AbstractSet[str]) -> m.Welcome:
    """Make the message that greets a watcher: what plays the video, and nothing else."""
    greeting = Greeting("", "", False, "chunk", False, False, times_real_time)
    told = welcome(world, greeting, fields & {"times_real_time"})
    return told.model_copy(update={"worlds": ()})


def init_message(track: VideoTrack) -> m.Init:
    """Make the message that a client needs before the frames of a track."""
    return m.Init(codec=track.codec, mime=track.mime, data=track.init_segment)


def chunk_message(report: ChunkReport, first_frame: int, *, tells_revision: bool) -> m.Chunk:
    """Make the message that announces a chunk, or its rest after a cut.

    Args:
        first_frame: number on the media timeline of the first frame that follows.
        tells_revision: whether the client knows the fields about cuts.
    """
    chunk, latch = report.chunk, report.latch
    return m.Chunk(
        index=chunk.index,
        first_frame=first_frame,
        frames=chunk.num_frames,
        controls_seq=latch.seq,
        latched_at=latch.at_ms,
        labels=tuple(chunk.labels),
        motions=tuple(
            m.LatentMotion(forward=motion.forward, right=motion.right, yaw=motion.yaw, pitch=motion.pitch)
            for motion in chunk.motions
        ),
        poses=tuple(tuple(pose.reshape(16).tolist()) for pose in chunk.poses),
        timings=m.Timings(**chunk.timings_ms),
        revision=report.revision if tells_revision else None,
        first_latent=chunk.first_latent if tells_revision else None,
        latents=len(chunk.poses) - chunk.first_latent if tells_revision else None,
    )


def watched_chunk_message(report: ChunkReport, first_frame: int, num_frames: int) -> m.Chunk:
    """Make the message that announces a chunk to a watcher, who is told neither keys nor cameras."""
    return m.Chunk(
        index=report.chunk.index,
        first_frame=first_frame,
        frames=num_frames,
        controls_seq=None,
        latched_at=report.latch.at_ms,
        labels=(),
        motions=(),
        poses=(),
        timings=m.Timings(**report.chunk.timings_ms),
    )


def our_fault(error: Exception) -> ProtocolError:
    """Return the error that a client gets for a fault of the server."""
    code = code_of(error)
    return ProtocolError(ErrorCode(code), REASONS[code])


def read_image(data: bytes) -> Image.Image:
    """Decode a start picture. Raises: ProtocolError if it is not a picture, or too large."""
    try:
        return open_image(data, LIMITS.image_bytes, LIMITS.image_pixels)
    except ValueError as error:
        raise ProtocolError(ErrorCode.BAD_IMAGE, f"start.image: {error}") from None
    except MemoryError:
        message = "start.image: the server ran out of memory for this picture"
        raise ProtocolError(ErrorCode.OUT_OF_MEMORY, message) from None


def read_trajectory(message: m.Poses) -> list[Move]:
    """Read the moves of a `poses` message. Raises: ProtocolError if a pose is invalid."""
    try:
        if message.pose_string is not None:
            return list(parse_pose_string(message.pose_string))
        intrinsics = None
        if message.intrinsics is not None:
            intrinsics = normalize_intrinsics(np.reshape(message.intrinsics, (3, 3)))
        poses = np.array(message.poses, dtype=np.float64).reshape(-1, 4, 4)
        check_rigid(poses)
        return [PosedCamera(pose, intrinsics=intrinsics) for pose in poses]
    except ValueError as error:
        raise ProtocolError(ErrorCode.BAD_POSE, f"poses: {error}") from None
