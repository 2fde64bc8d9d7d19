"""The bodies of the HTTP API's requests and answers. /openapi.json is made from these classes."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from worldplay.web.limits import LIMITS
from worldplay.wording import show
from worldplay.world.frames import MAX_SIDE, SIZE_UNIT
from worldplay.world.rollout_config import MAX_SEED, MAX_STEPS

MAX_DATA_URL_HEAD = 4096  # bytes before a data URL's base64: media type, file name, other parameters
# Lines may be as short as 64 characters, with two to end each.
MAX_BASE64_CHARS = (LIMITS.image_bytes + 2) // 3 * 4 * 66 // 64 + MAX_DATA_URL_HEAD
MAX_FRAMES = 2400  # 100 s
MAX_POSE_CHARS = 2**16  # of a pose string: about a hundred for each motion of the longest clip


def _take_whole(value: object) -> object:
    """Accept 61.0 as the integer 61: JSON has only one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check_pose(value: object) -> object:
    """Check before pydantic does: it would report a fault for each type that a pose may have."""
    if value is not None and not isinstance(value, str | dict | list):
        raise ValueError(f"expected a string, an object or an array, got {show(value)}")
    if isinstance(value, str) and len(value) > MAX_POSE_CHARS:
        raise ValueError(f"expected at most {MAX_POSE_CHARS} characters, got {len(value)}")
    return value


Whole = Annotated[int, BeforeValidator(_take_whole)]
Side = Annotated[Whole, Field(ge=SIZE_UNIT, le=MAX_SIDE, multiple_of=SIZE_UNIT)]


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, protected_namespaces=())


class GenerateVideoRequest(_Body):
    """A clip to generate. The server chooses each value that is omitted or null."""

    prompt: Annotated[
        str, Field(max_length=LIMITS.prompt_chars, description="What the world looks like; may be empty.")
    ]
    image_base64: Annotated[
        str | None,
        Field(
            max_length=MAX_BASE64_CHARS,
            description="Start image: PNG, JPEG or WebP in base64, or a data URL. Default: the first view.",
        ),
    ] = None
    num_frames: Annotated[
        Whole | None,
        Field(
            description="13, 29, 45, 61, ... (or 61, 125, ...): whole chunks. "
            "Default: as long as the pose, or 125.",
            json_schema_extra={
                "minimum": 1,
                "maximum": MAX_FRAMES,
            },  # plan_clip checks it and names the nearest valid numbers
        ),
    ] = None
    pose: Annotated[
        Annotated[str, Field(max_length=MAX_POSE_CHARS)] | dict[str, Any] | list[Any] | None,
        BeforeValidator(_check_pose),
        Field(
            description="A pose string like 'w-10,right-5' (action-latents, one motion fewer than latents), "
            "a pose file's object, or a recorded walk. Default: straight ahead."
        ),
    ] = None
    num_inference_steps: Annotated[
        Whole | None, Field(ge=1, le=MAX_STEPS, description="Default: the model's.")
    ] = None
    seed: Annotated[Whole | None, Field(ge=0, le=MAX_SEED, description="Default: random.")] = None
    variant: Annotated[
        str | None,
        Field(max_length=100, description="If given, must be the loaded variant: `model_type` of /health."),
    ] = None
    width: Annotated[Side | None, Field(description="If given, must be the loaded model's.")] = None
    height: Annotated[Side | None, Field(description="If given, must be the loaded model's.")] = None


class GenerateVideoResponse(_Body):
    """A finished clip."""

    video_base64: Annotated[str, Field(description="An MP4 file: H.264, 24 frames a second.")]
    prompt: str
    num_frames: int
    pose: str | dict[str, Any] | list[Any]
    generation_time_seconds: Annotated[
        float, Field(description="From the request to the last byte, including the wait for other clips.")
    ]


class Error(_Body):
    """Why a request was refused."""

    code: Literal[
        "bad_json",
        "bad_field",
        "bad_image",
        "bad_pose",
        "bad_snapshot",
        "bad_range",
        "unauthorized",
        "forbidden",
        "not_found",
        "method_not_allowed",
        "timeout",
        "too_large",
        "unsupported_media_type",
        "busy",
        "store_full",
        "out_of_memory",
        "internal",
        "stopped",
    ]
    message: Annotated[str, Field(description="Says what is wrong, and names the field.")]


class ErrorResponse(_Body):
    """The body of every error response."""

    error: Error


class SessionCounts(_Body):
    """Clients that walk, and clients that wait for a slot."""

    active: int
    queued: int
    max: int


class JobCounts(_Body):
    """Clips requested over HTTP."""

    queued: Annotated[int, Field(description="Including the one in progress.")]
    max: int


class NewSnapshot(_Body):
    """A walk that was uploaded."""

    id: Annotated[str, Field(description="Whoever has it can open and download the walk.")]
    name: str
    chunks: int


class SnapshotInfo(NewSnapshot):
    """A kept walk."""

    created: Annotated[float, Field(description="Seconds since 1970.")]


class SnapshotList(_Body):
    """The kept walks of one owner, the newest first."""

    snapshots: list[SnapshotInfo]


class RecordedCut(_Body):
    """What a cut threw away: the cameras from this latent to the end of its chunk."""

    latent: int
    poses: list[list[float]]
    labels: list[int]
    intrinsics: list[list[list[float]]] | None = None


class PromptChange(_Body):
    """The prompt from a latent on."""

    latent: int
    text: str


class RecordedWalk(_Body):
    """A recorded walk, with one pose and label for each latent. `pose` of a clip may be one."""

    model: str
    size: Annotated[list[int], Field(description="Width and height.")]
    seed: int
    steps: int | None = None
    view: str | None = None
    image: Annotated[dict[str, str] | None, Field(description="It began in the visitor's picture.")] = None
    prompt: str
    prompts: Annotated[list[PromptChange], Field(description="All but the first.")] = []
    poses: Annotated[list[list[float]], Field(description="Camera to world, 16 numbers each.")]
    labels: list[int]
    intrinsics: list[list[list[float]]] | None = None
    cuts: list[RecordedCut] = []


ClientState = Literal["greeting", "choosing", "walking", "paused", "queued", "resting", "watching"]


class StreamInfo(_Body):
    """One client with a WebSocket, for the operator."""

    client: Annotated[str, Field(description="As in the log.")]
    address: str
    state: ClientState
    session: Annotated[int | None, Field(description="As in the log; null before its first start.")]
    age_s: Annotated[float, Field(description="Since it connected.")]
    idle_s: Annotated[float | None, Field(description="Since its last input; null before its first start.")]
    frames: Annotated[int, Field(description="Video frames sent.")]


class SessionList(_Body):
    """The body of GET /api/sessions."""

    sessions: list[StreamInfo]


class Health(_Body):
    """The state of the server."""

    status: Literal["ok", "failed"]
    model_path: Annotated[str, Field(description="The model, as the operator named it.")]
    model_type: Annotated[str, Field(description="The loaded variant.")]
    action_ckpt: Annotated[str, Field(description="Where the transformer is in the model's files.")]
    pipeline_loaded: bool
    live: bool
    ready: bool
    model: str
    can_walk: Annotated[bool, Field(description="False: the model makes clips only.")]
    device: str
    latch: Annotated[
        Literal["latent", "chunk"],
        Field(description="When controls are read: a chunk in progress may be cut, or once per chunk."),
    ]
    tier: Annotated[str, Field(description="What may change the result for speed; exact: nothing.")]
    levers: Annotated[list[str], Field(description="What the tier does on this machine, in words.")]
    times_real_time: Annotated[
        float | None,
        Field(description="How fast chunks are made for one walk; null if that was not measured."),
    ]
    sessions: SessionCounts
    jobs: JobCounts
