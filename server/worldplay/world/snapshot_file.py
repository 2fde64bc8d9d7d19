"""Snapshots as bytes: a safetensors file whose metadata has one entry, `worldplay`, with JSON."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, Strict
from safetensors import TensorSpec, serialize
from torch import Tensor

from worldplay.world.camera import DEFAULT_INTRINSICS, MAX_POSES, Motion, Pose
from worldplay.world.frames import MAX_SIDE
from worldplay.world.pose_files import MAX_PROMPT_CHARS
from worldplay.world.rollout_config import MAX_SEED, MAX_STEPS
from worldplay.world.snapshot import Beginning, LoggedLatch, Snapshot
from worldplay.world.steering import Move, PosedCamera
from worldplay.world.tier import TierName

METADATA = "worldplay"
NO_LABEL = -1  # in the file: the label is that of the motion that leads to the camera
MAX_PROMPTS = 1000

Name = Annotated[str, Field(max_length=512)]
Latent = Annotated[int, Field(ge=0, le=MAX_POSES)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class WorldHeader(_Part):
    """Which world the walk was made in."""

    name: Name
    weights: Name
    size: Annotated[tuple[Side, Side], Strict(False)]


class BeginningHeader(_Part):
    """How the walk began, apart from what tensors hold."""

    world: WorldHeader
    view: Name
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None
    origin_label: Annotated[int, Field(ge=0, le=80)] | None
    attention: Name
    tier: TierName = "exact"
    walk: Annotated[str, Field(max_length=64)] = ""


class PromptHeader(_Part):
    latent: Latent
    text: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]


class Header(_Part):
    """The JSON of a file."""

    format: Literal[1]
    first: Latent
    beginning: BeginningHeader | None
    prompts: Annotated[tuple[PromptHeader, ...], Strict(False), Field(max_length=MAX_PROMPTS)]


class TooLongError(Exception):
    """The walk has become longer than a file may be."""


def write_snapshot(snapshot: Snapshot) -> bytes:
    """Encode a snapshot or a part. Raises: TooLongError."""
    if snapshot.end > MAX_POSES or len(snapshot.prompts) > MAX_PROMPTS:
        raise TooLongError
    arrays = {
        "c2w": snapshot.c2w,
        "labels": snapshot.labels,
        "intrinsics": snapshot.intrinsics,
        **_latch_arrays(snapshot.latches),
        **_beginning_arrays(snapshot.beginning),
    }
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    tensors["latents"] = snapshot.latents.contiguous()
    return _encode(tensors, {METADATA: _header(snapshot).model_dump_json()})


def _encode(tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> bytes:
    """Encode as `safetensors.torch.save` does. That keeps two ctypes types for each new size, for ever."""
    on_cpu = {name: tensor.cpu() for name, tensor in tensors.items()}  # until all is encoded
    specs = {
        name: TensorSpec(
            dtype=str(tensor.dtype).removeprefix("torch."),
            shape=tensor.shape,
            data_ptr=tensor.data_ptr(),
            data_len=tensor.nbytes,
        )
        for name, tensor in on_cpu.items()
    }
    return bytes(serialize(specs, metadata))


def _header(snapshot: Snapshot) -> Header:
    return Header(
        format=1,
        first=snapshot.first,
        beginning=None if snapshot.beginning is None else _beginning_header(snapshot.beginning),
        prompts=tuple(PromptHeader(latent=change.latent, text=change.text) for change in snapshot.prompts),
    )


def _beginning_header(beginning: Beginning) -> BeginningHeader:
    world = beginning.world
    return BeginningHeader(
        world=WorldHeader(name=world.name, weights=world.weights, size=world.size),
        view=beginning.view,
        seed=beginning.seed,
        steps=beginning.steps,
        origin_label=beginning.origin.label,
        attention=beginning.attention,
        tier=beginning.tier,
        walk=beginning.walk,
    )


def _beginning_arrays(beginning: Beginning | None) -> dict[str, NDArray[np.generic]]:
    if beginning is None:
        return {}
    origin, picture = beginning.origin, beginning.picture
    arrays: dict[str, NDArray[np.generic]] = {
        "origin_c2w": origin.c2w,
        "origin_intrinsics": DEFAULT_INTRINSICS if origin.intrinsics is None else origin.intrinsics,
    }
    if picture is not None:
        arrays["picture"] = picture.fitted
        if picture.siglip is not None:
            arrays["picture_siglip"] = picture.siglip
    return arrays


def _latch_arrays(latches: Sequence[LoggedLatch]) -> dict[str, NDArray[np.generic]]:
    """Return the moves of all latches as rows: motions, and cameras where those were given."""
    moves = [move for latch in latches for move in latch.moves]
    cameras = [move for move in moves if isinstance(move, PosedCamera)]
    return {
        "latch_latents": np.array([latch.latent for latch in latches], np.int64),
        "latch_moves": np.array([len(latch.moves) for latch in latches], np.int64),
        "is_camera": np.array([isinstance(move, PosedCamera) for move in moves], np.uint8),
        "motions": np.array([_numbers(move) for move in moves], np.float64).reshape(-1, 5),
        "camera_c2w": _stack([camera.c2w for camera in cameras], 4),
        "camera_labels": np.array(
            [NO_LABEL if camera.label is None else camera.label for camera in cameras], np.int64
        ),
        "camera_intrinsics": _stack(
            [DEFAULT_INTRINSICS if c.intrinsics is None else c.intrinsics for c in cameras], 3
        ),
    }


def _numbers(move: Move) -> tuple[float, float, float, float, float]:
    motion = move if isinstance(move, Motion) else Motion()
    return motion.forward, motion.right, motion.yaw, motion.pitch, motion.third_yaw


def _stack(matrices: Sequence[Pose], size: int) -> Pose:
    return np.array(matrices, np.float64).reshape(-1, size, size)
