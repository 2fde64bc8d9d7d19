"""Every message of docs/protocol.md as one frozen, strictly typed class."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, Strict, model_validator

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.fields import (
    Clock,
    Count,
    Intrinsics,
    Items,
    Keys,
    MediaTime,
    Name,
    OwnerKey,
    Pose,
    Record,
    Size,
    StateName,
    Turn,
)

PROTOCOL = 1
SUBPROTOCOL = "worldplay.v1"

# ---- client to server


class Resume(Record):
    session: Name
    secret: Name
    fragment: Count | None = None
    chunk: Count | None = None


class Hello(Record):
    type: Literal["hello"] = "hello"
    protocol: Annotated[int, Field(ge=PROTOCOL, le=PROTOCOL)]
    token: Name | None = None
    resume: Resume | None = None
    watch: Name | None = None

    @model_validator(mode="after")
    def _check_one_session(self) -> "Hello":
        if self.resume is not None and self.watch is not None:
            raise ValueError("expected resume or watch, got both")
        return self


class Start(Record):
    type: Literal["start"] = "start"
    view: Name | None = None
    image: bytes | None = None
    prompt: str | None = None
    # Less than MAX_SEED of rollout_config.py, which clips and files allow.
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    size: Size | None = None
    snapshot: Name | None = None

    @model_validator(mode="after")
    def _check_one_origin(self) -> "Start":
        if self.view is not None and self.image is not None:
            raise ValueError("expected view or image, got both")
        others = {name for name, value in self.to_map().items() if name not in ("type", "snapshot")}
        if self.snapshot is not None and others:
            raise ValueError(f"expected snapshot alone, got {', '.join(sorted(others))} beside it")
        return self


class Look(Record):
    yaw: Turn
    pitch: Turn


class Controls(Record):
    type: Literal["controls"] = "controls"
    seq: Count
    t: Clock
    keys: Keys
    look: Look


class Poses(Record):
    type: Literal["poses"] = "poses"
    seq: Count
    poses: Annotated[Items[Pose], Field(min_length=1)] | None = None
    pose_string: Annotated[str, Field(max_length=4096)] | None = None
    intrinsics: Intrinsics | None = None

    @model_validator(mode="after")
    def _check_one_trajectory(self) -> "Poses":
        if (self.poses is None) == (self.pose_string is None):
            got = "neither" if self.poses is None else "both"
            raise ValueError(f"expected poses or pose_string, got {got}")
        if self.intrinsics is not None and self.poses is None:
            raise ValueError("expected intrinsics only beside poses, got them beside pose_string")
        return self


class Prompt(Record):
    type: Literal["prompt"] = "prompt"
    text: str


class Playhead(Record):
    type: Literal["playhead"] = "playhead"
    shown: MediaTime
    buffered: MediaTime
    stalled: Count
    hidden: bool
    wanted: Annotated[float, Field(ge=0, le=1)] | None = None


class Pause(Record):
    type: Literal["pause"] = "pause"


class ResumeWalk(Record):
    type: Literal["resume"] = "resume"


class Step(Record):
    type: Literal["step"] = "step"


class Reset(Record):
    type: Literal["reset"] = "reset"


class Rewind(Record):
    type: Literal["rewind"] = "rewind"
    chunk: Count


class Bookmark(Record):
    type: Literal["bookmark"] = "bookmark"
    name: Annotated[str, Field(max_length=200)]
    key: OwnerKey


LinkRight = Literal["watch", "recording"]  # what a link lets its owner see; absent in messages: watch


class Share(Record):
    type: Literal["share"] = "share"
    token: Name | None = None
    right: LinkRight | None = None

    @model_validator(mode="after")
    def _check_token(self) -> "Share":
        if self.token is not None and self.right == "recording":
            raise ValueError("expected a token only with the right watch, got one with recording")
        return self


class Unshare(Record):
    type: Literal["unshare"] = "unshare"
    right: LinkRight | None = None


class Stop(Record):
    type: Literal["stop"] = "stop"


class Ping(Record):
    type: Literal["ping"] = "ping"
    t: Clock


# ---- server to client


class Limits(Record):
    """What one message may hold; told in `welcome` and enforced by ServerConnection."""

    message_bytes: Count
    image_bytes: Count
    image_pixels: Count
    prompt_chars: Count
    poses: Annotated[int, Field(ge=1, le=400)]  # this many fit into a small frame as 64-bit floats


class View(Record):
    name: str
    title: str
    preview: bytes | None = None


class Suggestion(Record):
    title: str
    prompt: str


class WorldInfo(Record):
    name: str
    title: str
    views: Items[View]
    suggestions: Annotated[Items[Suggestion], Field(min_length=1)] | None = None
    own_pictures: Literal["as_is", "nearest_view"] | None = None
    sights: Annotated[Items[str], Field(min_length=1)] | None = None


class ChunkShape(Record):
    latents: Count
    frames: Count
    first_frames: Count


class Places(Record):
    """How many may walk at once more, how many wait, and how long a newcomer would wait, in seconds."""

    free: Count
    queued: Count
    eta: Annotated[float, Field(ge=0)]


class Welcome(Record):
    type: Literal["welcome"] = "welcome"
    protocol: Count
    session: Name
    secret: Name
    resumed: bool
    limits: Limits
    worlds: Items[WorldInfo]
    model: str
    fps: float
    size: Size
    sizes: Annotated[Items[Size], Field(min_length=1)]
    chunk: ChunkShape
    can_walk: bool | None = None
    latch: Literal["latent", "chunk"] | None = None
    times_real_time: Annotated[float, Field(gt=0)] | None = None
    snapshots: bool | None = None
    places: Places | None = None
    recording: bool | None = None
    wanted: bool | None = None
    watchers: Count | None = None
    rights: Items[LinkRight] | None = None
    missing_chunks: Count | None = None


class Queued(Record):
    type: Literal["queued"] = "queued"
    position: Annotated[int, Field(ge=1)]
    eta: float | None


class Init(Record):
    type: Literal["init"] = "init"
    codec: str
    mime: str
    data: bytes


class LatentMotion(Record):
    forward: float
    right: float
    yaw: float
    pitch: float


class Timings(Record):
    select: float
    context: float
    denoise: float


class Chunk(Record):
    type: Literal["chunk"] = "chunk"
    index: Count
    first_frame: Count
    frames: Count
    controls_seq: Count | None
    latched_at: Clock
    labels: Items[Annotated[int, Field(ge=0, le=80)]]
    motions: Items[LatentMotion]
    poses: Items[Pose]
    timings: Timings
    revision: Count | None = None
    first_latent: Count | None = None
    latents: Annotated[int, Field(ge=1)] | None = None


class Media(Record):
    type: Literal["media"] = "media"
    chunk: Count
    frame: Count
    time: MediaTime
    duration: MediaTime
    key: bool
    decoded_at: Clock
    decode: float
    encode: float
    data: bytes


class State(Record):
    type: Literal["state"] = "state"
    what: StateName
    chunk: Count | None = None
    text: str | None = None
    taken_as: Annotated[str, Field(max_length=200)] | None = None
    view: str | None = None


class Error(Record):
    type: Literal["error"] = "error"
    code: Annotated[ErrorCode, Strict(False)]
    message: str
    retryable: bool
    fatal: bool


class Bye(Record):
    type: Literal["bye"] = "bye"
    reason: str
    resume_in: Annotated[float, Field(ge=0)] | None = None


class Pong(Record):
    type: Literal["pong"] = "pong"
    t: Clock
    server: Clock


class Received(Record):
    type: Literal["received"] = "received"
    seq: Count
    at: Clock


class Bookmarked(Record):
    type: Literal["bookmarked"] = "bookmarked"
    snapshot: Name
    name: Annotated[str, Field(max_length=200)]
    chunk: Count


class Shared(Record):
    type: Literal["shared"] = "shared"
    token: Name | None = None
    right: LinkRight | None = None


class Watchers(Record):
    type: Literal["watchers"] = "watchers"
    count: Count
    walker: Literal["walking", "paused", "queued", "away"] | None = None


ClientMessage: TypeAlias = (
    Hello
    | Start
    | Controls
    | Poses
    | Prompt
    | Playhead
    | Pause
    | ResumeWalk
    | Step
    | Reset
    | Rewind
    | Bookmark
    | Share
    | Unshare
    | Stop
    | Ping
)
ServerMessage: TypeAlias = (
    Welcome
    | Queued
    | Init
    | Chunk
    | Media
    | State
    | Error
    | Bye
    | Pong
    | Received
    | Bookmarked
    | Shared
    | Watchers
)


def _by_type(classes: Sequence[Any]) -> dict[str, Any]:
    return {cls.model_fields["type"].default: cls for cls in classes}


CLIENT_MESSAGES: dict[str, type[ClientMessage]] = _by_type(get_args(ClientMessage))
SERVER_MESSAGES: dict[str, type[ServerMessage]] = _by_type(get_args(ServerMessage))


def error_message(error: ProtocolError) -> Error:
    """The message that tells the peer of its error."""
    return Error(code=error.code, message=error.message, retryable=error.retryable, fatal=error.fatal)
