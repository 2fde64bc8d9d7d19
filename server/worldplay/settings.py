"""Everything an operator may set; nothing else reads the environment."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from worldplay.world.frames import parse_size

PREFIX = "WORLDPLAY_"
_REPOSITORY = Path(__file__).resolve().parents[2]

Folder = Annotated[Path, AfterValidator(lambda path: Path(os.path.expanduser(path)))]


def _refuse_blank(token: str) -> str:
    """A blank token would look like protection, and let everybody in."""
    if not token.strip():
        raise PydanticCustomError("blank", "expected a token that is not blank; leave it out to have none")
    return token


def _check_size(size: str) -> str:
    parse_size(size)
    return size


Token = Annotated[str, AfterValidator(_refuse_blank)]


class Settings(BaseSettings):
    """Settings of one server process.

    Each is an environment variable `WORLDPLAY_<NAME>`; `HOST` and `PORT` are read as well, because hosting
    platforms set those. `variant`, `size` (height x width) and `shift` (of the noise schedule) concern the
    released model only.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    model: str = "embedded"
    variant: Literal["ar-distilled", "ar", "ar-rl", "bidirectional"] = "ar-distilled"
    size: Annotated[str, AfterValidator(_check_size)] = "480x832"
    shift: Annotated[float, Field(gt=0, le=100)] = 5.0
    weights_dir: Folder = Path.home() / ".cache" / "worldplay"
    device: str = "auto"
    token: Token | None = None
    max_sessions: Annotated[int, Field(ge=1, le=1000)] = 4
    max_queued: Annotated[int, Field(ge=0, le=10_000)] = 16
    max_jobs: Annotated[int, Field(ge=1, le=1000)] = 4
    send_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    static_dir: Folder = _REPOSITORY / "client_web" / "dist"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def load_settings(**arguments: object) -> Settings:
    """Read the environment; arguments that are not None win over it.

    Raises: ValueError naming the first setting that is unknown or out of range.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    for name in ("host", "port"):
        if name not in given and PREFIX + name.upper() not in os.environ and name.upper() in os.environ:
            given[name] = os.environ[name.upper()]
    _refuse_unknown_variables()
    try:
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks the types
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        words = first["msg"].removeprefix("Value error, ")  # pydantic's, before those of our own checks
        got = "" if ", got " in words else f", got {first['input']!r}"
        raise ValueError(f"setting {name}: {words}{got}") from None


def read_visible_gpus() -> str | None:
    """Which GPUs CUDA lets this process see; None if all of them."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]}; known are {', '.join(sorted(known))}")
