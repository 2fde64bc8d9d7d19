"""Reads `render --pose`: a pose string, or JSON with poses. The JSON may be a recorded walk."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worldplay.wording import find_fault, show
from worldplay.world.pose_files import decode_json
from worldplay.world.rollout_config import MAX_SEED, MAX_STEPS


class Picture(BaseModel):
    """The start image of a recorded walk: its path and hash, but not its content."""

    model_config = ConfigDict(strict=True, frozen=True)

    path: str  # where it was
    sha256: str | None = None  # of the file, if known


class RecordedBeginning(BaseModel):
    """How a recorded walk began. Values that it does not contain are None."""

    model_config = ConfigDict(strict=True, frozen=True)

    view: str | None = None
    prompt: str | None = None
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | None = None
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    shift: float | None = None
    image: Picture | None = None
    model: str | None = None
    size: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None  # width, height


def is_saved_walk(option: str | None) -> bool:
    """Return whether the option names a saved walk, by its ending or by what is in the file."""
    if option is None or option.lower().endswith(".safetensors"):
        return option is not None
    return os.path.isfile(option) and _is_safetensors(Path(option))


def _is_safetensors(path: Path) -> bool:
    """Return whether a file begins with a length of 8 bytes and a map. No text begins with zeros in it."""
    try:
        with path.open("rb") as file:
            beginning = file.read(9)
    except OSError:  # whoever reads it whole says why
        return False
    return beginning[4:] == b"\0\0\0\0{"


def read_pose(option: str | None) -> object:
    """Decode the option if it is JSON, names a file or ends in .json; otherwise return it unchanged.

    Raises: ValueError or OSError saying what was expected and what was found.
    """
    if option is None:
        return None
    if option.lstrip().startswith(("{", "[")):
        return _decode(option, show(option))
    if (os.path.exists(option) and not os.path.isdir(option)) or option.lower().endswith(".json"):
        return _decode(read_file(Path(option)), option)
    return option


def _decode(text: str | bytes, name: str) -> object:
    try:
        return decode_json(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def read_file(path: Path) -> bytes:
    """Read a file that the user named. Raises: OSError naming it and what is wrong."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror}") from None


def read_beginning(pose: object) -> RecordedBeginning:
    """Read the beginning of a recorded walk; all None for any other pose.

    Raises: ValueError naming the field, what was expected and what was found.
    """
    if not isinstance(pose, dict) or "poses" not in pose:
        return RecordedBeginning()
    try:
        return RecordedBeginning.model_validate(pose)
    except ValidationError as error:
        fault = find_fault(error)
        raise ValueError(f"pose: {fault.path}: {fault.reason}") from None
