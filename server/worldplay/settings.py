"""All settings of the operator. Only this module reads the environment."""

import ipaddress
import logging
import os
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worldplay.folders import check_folders
from worldplay.setting_kinds import (
    Choice,
    Folder,
    Host,
    NameOrFolder,
    Origins,
    Proxies,
    Size,
    Token,
    Variant,
    expand_home,
    strip_brackets,
)
from worldplay.variables import PREFIX, is_of_another_container, unquote
from worldplay.wording import find_fault
from worldplay.world.tier import TierName

logger = logging.getLogger(__name__)

CHUNK_TIMES = Path.home() / ".cache" / "worldplay-measured" / "chunk_times.json"
COMPILED = Path.home() / ".cache" / "worldplay-compiled"
_PACKAGE = Path(__file__).resolve().parent


class ModelSettings(BaseModel):
    """Settings of the model and its device. Each field is also the variable WORLDPLAY_<FIELD>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: NameOrFolder = Field(
        "embedded", description="Model to load: 'embedded', 'hy-worldplay', or a folder that holds either"
    )
    variant: Variant = Field(
        "ar-distilled", description="Variant of hy-worldplay: ar-distilled, ar, ar-rl or bidirectional"
    )
    size: Size = Field(
        "480x832",
        description="Picture size of hy-worldplay, height x width; serve and doctor also take 'auto': the "
        "largest that is in real time on this machine",
    )
    shift: float = Field(5.0, gt=0, le=100, description="Shift of hy-worldplay's noise schedule")
    weights_dir: Folder = Field(
        Path.home() / ".cache" / "worldplay", description="Folder of hy-worldplay's downloaded files"
    )
    device: str = Field("auto", description="Where the model runs: 'auto', 'cpu', 'cuda' or 'cuda:N'")
    gpus: int = Field(
        1,
        ge=1,
        le=64,
        description="GPUs that compute the model together; with --device cpu, processes of one thread each",
    )
    rank_timeout_s: float = Field(
        60.0,
        ge=1,
        le=3600,
        description="With several GPUs: seconds without any progress after which one of them counts as hung, "
        "and the process ends; at least 600 while models are loaded, and with compile 'on'",
    )
    attention: str = Field(
        "auto",
        min_length=1,
        description="Attention backend: 'auto' takes the fastest that is exact here, see docs/performance.md",
    )
    tier: TierName = Field(
        "exact",
        description="What may change the result for speed: 'exact': nothing; 'balanced' and 'fast': levers "
        "like 8-bit layers, where this machine gains; see docs/performance.md",
    )
    compile: Choice = Field(
        "auto",
        description="Whether torch.compile joins operations of the transformer, which takes a minute while "
        "loading; 'auto' does so for hy-worldplay on one GPU",
    )
    graphs: Choice = Field(
        "auto",
        description="Whether passes are recorded once and replayed, as CUDA graphs; 'auto' does so on a GPU",
    )
    max_sessions: int = Field(
        4,
        ge=1,
        le=1000,
        description="Visitors who may walk at once; fewer if memory or, by default, time is short",
    )


class Settings(ModelSettings):
    """All settings of `worldplay serve`, including the model's."""

    host: Host = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    token: Token | None = Field(None, description="Secret that visitors must present")
    token_file: Folder | None = Field(
        None, description="File that holds the secret, which then shows in no list of processes"
    )
    max_queued: int = Field(16, ge=0, le=10_000, description="Visitors who may wait until they can walk")
    idle_limit_s: float = Field(
        120.0,
        ge=1,
        le=86_400,
        description="Seconds without input after which a visitor's slot goes to those who wait, if any",
    )
    visit_limit_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Seconds after which a visitor goes to the end of the queue, if anybody waits; 0: never",
    )
    slots_per_address: int = Field(
        0,
        ge=0,
        le=1000,
        description="Slots that visitors from one IP address, or from one IPv6 network /64, keep while "
        "others wait; 0: all but one",
    )
    latch: Literal["latent", "chunk"] | None = Field(
        None,
        description="When controls are read: 'latent' (a chunk in progress may be cut) or 'chunk' (once per "
        "chunk); by default 'latent' for the embedded world, 'chunk' for hy-worldplay",
    )
    max_jobs: int = Field(4, ge=1, le=1000, description="Clips that may be in progress or waiting at once")
    send_timeout_s: float = Field(
        10.0, gt=0, le=600, description="Seconds after which a client that reads no data is disconnected"
    )
    stage_timeout_s: float = Field(
        30.0,
        ge=1,
        le=3600,
        description="Seconds after which a stage of the model counts as hung, and the process ends; never "
        "with compile 'on', or with hy-worldplay on a CPU",
    )
    allow_origin: Origins = Field(
        "",
        description="Other origins whose pages may connect, like https://world.example, separated by commas: "
        "for a proxy that rewrites Host",
    )
    store: str = Field(
        "~/.cache/worldplay-walks",
        min_length=1,
        description="Where walks are kept: a folder, a URL of fsspec, like s3://bucket/walks, or 'none'",
    )
    store_mb: int = Field(
        2000, ge=1, le=10**9, description="Megabytes of walks that are kept in the store, for all visitors"
    )
    walks_per_address: int = Field(
        20,
        ge=1,
        le=100_000,
        description="Walks of one IP address, or of one IPv6 network /64, that are kept after their visit; "
        "the oldest goes first",
    )
    keep_days: int = Field(30, ge=1, le=3650, description="Days for which bookmarked walks are kept")
    recordings: str = Field(
        "~/.cache/worldplay-recordings",
        min_length=1,
        description="Folder of the recordings: the videos that visitors were sent, which only they can "
        "download; 'none': nothing is recorded",
    )
    recording_mb: int = Field(
        250,
        ge=1,
        le=10**6,
        description="Megabytes after which the recording of a walk ends; the walk goes on",
    )
    recordings_mb: int = Field(
        1000,
        ge=1,
        le=10**9,
        description="Megabytes of recordings, of all visitors; the oldest finished make room for new ones",
    )
    recordings_h: float = Field(
        1.0, gt=0, le=8760, description="Hours for which a recording is kept after its visit"
    )
    resume_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="Seconds for which a visitor without a connection keeps the slot, unless others wait; "
        "afterwards the walk goes on from the store",
    )
    return_s: float = Field(
        20.0,
        ge=0,
        le=600,
        description="Seconds after a start for which the slots of visitors who walked when the server ended "
        "wait for them; 0: newcomers take them",
    )
    max_watchers: int = Field(
        200, ge=0, le=10_000, description="Visitors who may watch the walks of others; 0: nobody"
    )
    max_watchers_per_walk: int = Field(
        50, ge=0, le=10_000, description="Visitors who may watch one walk; 0: nobody"
    )
    allow_host: str = Field(
        "",
        description="Names, separated by commas, under which this server may be reached; by default any, but "
        "without a token and on a loopback address only loopback names",
    )
    max_connections: int = Field(
        1000,
        ge=4,
        le=60_000,
        description="Connections at once; fewer if there are not enough file descriptors",
    )
    max_per_address: int = Field(
        128,
        ge=1,
        le=60_000,
        description="Connections at once from one IP address, or from one IPv6 network /64",
    )
    trusted_proxies: Proxies = Field(
        "",
        description="IP addresses of proxies, separated by commas: their X-Forwarded-For is believed, and "
        "they may open any number of connections",
    )
    static_dir: Folder = Field(_PACKAGE / "web" / "page", description="Folder of the built page")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Log level: debug, info, warning or error"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Log lines as 'text', or as one 'json' object each"
    )


class _Given(NamedTuple):
    """A setting's value, and the variable it comes from; None for an argument."""

    value: object
    variable: str | None


_Kind = TypeVar("_Kind", bound=ModelSettings)


def load_settings(**arguments: object) -> Settings:
    """Read the server's settings. Arguments that are not None win over the environment.

    Raises: ValueError naming the first setting that is unknown or out of range, and its variable, or two
        folders that must be apart.
    """
    variables = {**_platform_address(arguments), **_own_variables()}
    settings = _load(Settings, _read_token_file(variables, arguments), arguments)
    check_folders(dict(settings))
    return settings


def _read_token_file(variables: dict[str, _Given], arguments: dict[str, object]) -> dict[str, _Given]:
    """Take the token from its file, if one is named. Raises: ValueError if there is a token beside it."""
    named = arguments.get("token_file") or (
        variables["token_file"].value if "token_file" in variables else None
    )
    if named is None:
        return variables
    if "token" in variables or arguments.get("token") is not None:
        raise ValueError("setting token_file: expected either a token or a file of one, got both")
    try:
        token = expand_home(Path(str(named))).read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"setting token_file: cannot be read ({error})") from None
    return {**variables, "token": _Given(token, None)}


def load_model_settings(**arguments: object) -> ModelSettings:
    """Read the model's settings, for commands that do not serve. The server's settings are ignored.

    Raises: as `load_settings`.
    """
    return _load(ModelSettings, _own_variables(), arguments)


def _load(kind: type[_Kind], variables: dict[str, _Given], arguments: dict[str, object]) -> _Kind:
    given = {name: found for name, found in variables.items() if name in kind.model_fields}
    given |= {name: _Given(value, None) for name, value in arguments.items() if value is not None}
    try:
        return kind.model_validate({name: value for name, (value, _) in given.items()})
    except ValidationError as error:
        fault = find_fault(error)
        variable = given[fault.path].variable
        source = f" from {variable}" if variable else ""
        raise ValueError(f"setting {fault.path}: {fault.reason}{source}") from None


def keep_compiled_code() -> None:
    """Let torch.compile keep its results between starts, unless TORCHINDUCTOR_CACHE_DIR names a place."""
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(COMPILED))


def let_python_see_gpu_errors() -> None:
    """Keep PyTorch's watchdog of NCCL from ending a rank before the rank can say why.

    By default it ends the process at an error of the GPU, with a stack dump. It may also wait a minute for
    other ranks to write such dumps, and look every second whether they do. Here rank 0 notices a rank that
    ends, and says why.
    """
    for name in ("RETHROW_CUDA_ERRORS", "DUMP_ON_TIMEOUT", "WAIT_TIMEOUT_DUMP_MILSEC"):
        os.environ.setdefault(f"TORCH_NCCL_{name}", "0")


def read_visible_gpus() -> str | None:
    """Return CUDA_VISIBLE_DEVICES, which limits the GPUs that this process sees; None if it is not set."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def _own_variables() -> dict[str, _Given]:
    """Collect the WORLDPLAY_ variables by field. A blank variable counts as not set, except the token's.

    Raises: ValueError naming the first variable that is not a setting.
    """
    given = {}
    fields = {PREFIX + name.upper(): name for name in Settings.model_fields}
    for variable in sorted(os.environ):
        name, text = variable.upper(), unquote(os.environ[variable])
        if not name.startswith(PREFIX) or is_of_another_container(name, text):
            continue
        if name not in fields:
            raise ValueError(f"unknown setting {variable}; known are {', '.join(sorted(fields))}")
        if text or fields[name] == "token":
            given[fields[name]] = _Given(text, variable)
    return given


def _platform_address(arguments: dict[str, object]) -> dict[str, _Given]:
    """Read HOST and PORT, which hosting platforms set.

    Other values of HOST than addresses are ignored: shells and compilers use the name, too.
    """
    given = {}
    host, port = (unquote(os.environ.get(variable, "")) for variable in ("HOST", "PORT"))
    if _is_address(host):
        given["host"] = _Given(host, "HOST")
    elif host and arguments.get("host") is None and not os.environ.get(f"{PREFIX}HOST"):
        logger.warning("HOST is ignored: expected an IP address, got %r", host)
    if port:
        given["port"] = _Given(port, "PORT")
    return given


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(strip_brackets(host))
    except ValueError:
        return host == "localhost"
    return True
