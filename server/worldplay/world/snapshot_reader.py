"""Reads snapshots strictly, because a file may come from a stranger. Nothing in it is ever executed."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, deserialize
from torch import Tensor

from worldplay.model.config import CHUNK_LATENTS
from worldplay.wording import find_fault, show, show_name
from worldplay.world.camera import MAX_FOCAL, MAX_POSES, NUM_LABELS, Motion, Pose, check_rigid
from worldplay.world.snapshot import (
    Beginning,
    LoggedLatch,
    OwnPicture,
    PromptChange,
    Snapshot,
    WorldIdentity,
)
from worldplay.world.snapshot_file import METADATA, NO_LABEL, BeginningHeader, Header
from worldplay.world.steering import Move, PosedCamera

MAX_HEADER_BYTES = 2**24  # 1000 prompts of 2000 characters, if each takes 6 bytes as JSON, and some room
MAX_STRINGS = 4096  # in a header, names included: at most 3 for each of 1000 prompts, and 40 others
MAX_REST_CHARS = 2**16  # of everything outside of strings
MAX_LATCHES = MAX_POSES  # every latent may begin with a cut
MAX_MOVE = 1e3  # units or radians; more than any key or mouse gives for one latent

_NUMBERS: dict[str, type[np.generic]] = {
    "F64": np.float64,
    "I64": np.int64,
    "U8": np.uint8,
}
_LATENT_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# The dtype of each tensor, and its shape: numbers, or letters for a length of its own.
_SHAPES: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "c2w": ("F64", ("T", 4, 4)),
    "labels": ("I64", ("T",)),
    "intrinsics": ("F64", ("T", 3, 3)),
    "latch_latents": ("I64", ("L",)),
    "latch_moves": ("I64", ("L",)),
    "is_camera": ("U8", ("M",)),
    "motions": ("F64", ("M", 5)),
    "camera_c2w": ("F64", ("P", 4, 4)),
    "camera_labels": ("I64", ("P",)),
    "camera_intrinsics": ("F64", ("P", 3, 3)),
}
_BEGINNING_SHAPES: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "origin_c2w": ("F64", (4, 4)),
    "origin_intrinsics": ("F64", (3, 3)),
}
_PICTURE_SHAPES: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "picture": ("U8", ("H", "W", 3)),
    "picture_siglip": ("U8", ("h", "w", 3)),
}
_MOST = {"T": MAX_POSES, "L": MAX_LATCHES, "M": CHUNK_LATENTS * MAX_LATCHES, "P": CHUNK_LATENTS * MAX_LATCHES}
_MAX_PICTURE_SIDE = 1280

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A tensor of the file, as it is described there."""

    dtype: str
    shape: tuple[int, ...]
    data: bytearray


def read_part(data: bytes) -> Snapshot:
    """Decode a snapshot or a part, and check it by itself.

    Raises: ValueError in one sentence: what was expected and what was found.
    """
    content = _read_content(data)
    header = _read_header(content)
    shapes = dict(_SHAPES)
    if header.beginning is not None:
        shapes |= _BEGINNING_SHAPES
        shapes |= {name: shape for name, shape in _PICTURE_SHAPES.items() if name in content}
    _check_names({*shapes, "latents", "__metadata__"}, content.keys())
    stored = _read_tensors(data)
    arrays = _take_arrays(stored, shapes)
    latents = _take_latents(stored["latents"], len(arrays["labels"]))
    _check_cameras(arrays)
    if header.beginning is not None and header.first != 0:
        raise ValueError(f"expected no beginning in a part from latent {header.first} on, got one")
    return Snapshot(
        beginning=None if header.beginning is None else _read_beginning(header.beginning, arrays),
        first=header.first,
        latents=latents,
        c2w=arrays["c2w"].astype(np.float64),
        labels=arrays["labels"].astype(np.int64),
        intrinsics=arrays["intrinsics"].astype(np.float64),
        latches=tuple(_read_latches(arrays)),
        prompts=tuple(PromptChange(change.latent, change.text) for change in header.prompts),
    )


def read_snapshot(data: bytes) -> Snapshot:
    """Decode a whole snapshot. Raises: ValueError as `read_part` and `check_whole`."""
    snapshot = read_part(data)
    check_whole(snapshot)
    return snapshot


def check_whole(snapshot: Snapshot) -> None:
    """Check that a snapshot is a whole walk, and consistent. Raises: ValueError saying what is not."""
    if snapshot.beginning is None or snapshot.first != 0:
        raise ValueError("expected a whole walk, got a part without its beginning")
    if snapshot.end % CHUNK_LATENTS:
        raise ValueError(f"expected whole chunks of {CHUNK_LATENTS} latents, got {snapshot.end} latents")
    _check_order("prompts", [change.latent for change in snapshot.prompts], snapshot.end)
    starts = [latch.latent for latch in snapshot.latches]
    _check_order("latches", starts, snapshot.end - 1)
    if missing := set(range(0, snapshot.end, CHUNK_LATENTS)) - set(starts):
        raise ValueError(f"expected a latch at every chunk, got none at latent {min(missing)}")
    for latch in snapshot.latches:
        wanted = CHUNK_LATENTS - latch.latent % CHUNK_LATENTS - (latch.latent == 0)
        if len(latch.moves) != wanted:
            got = f"{len(latch.moves)} at latent {latch.latent}"
            raise ValueError(f"expected {wanted} moves, to the end of the chunk, got {got}")


def _check_order(name: str, latents: Sequence[int], last: int) -> None:
    if (latents and (latents[0] != 0 or latents[-1] > last)) or (not latents and last >= 0):
        got = f"{latents[0]} to {latents[-1]}" if latents else "none"
        raise ValueError(f"expected {name} of latents 0 to {last}, got {got}")
    for one, other in pairwise(latents):
        if other <= one:
            raise ValueError(f"expected {name} of growing latents, got {other} after {one}")


def _read_content(data: bytes) -> Mapping[str, object]:
    """Decode the file's own header, before anything is made of it."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError(f"expected a safetensors file, got {len(data)} bytes that are not one")
    try:
        content = _parse(data[8 : 8 + length])
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError("expected a safetensors file, got a header that is no small JSON object")
    return content


def _parse(data: bytes) -> object:
    """Decode JSON in UTF-8. Raises: ValueError if it is none, or has too many values."""
    text = data.decode()
    _check_size(text)
    return json.loads(text)


def _check_size(text: str) -> None:
    """Count a JSON text's values before they become objects, which may take seconds and a gigabyte.

    Raises: ValueError if there are too many.
    """
    bare = text.replace("\\\\", "").replace('\\"', "")  # so that only quotes that end strings are left
    if bare.count('"') > 2 * MAX_STRINGS or sum(map(len, bare.split('"')[::2])) > MAX_REST_CHARS:
        raise ValueError(f"expected at most {MAX_STRINGS} strings and little else, got more")


def _read_header(content: Mapping[str, object]) -> Header:
    metadata = content.get("__metadata__")
    text = metadata.get(METADATA) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"expected metadata of the name {METADATA}, got {show(text)}")
    try:
        _check_size(text)
        return Header.model_validate_json(text)
    except ValidationError as error:
        fault = find_fault(error)
        raise ValueError(f"{fault.path or METADATA}: {fault.reason}") from None
    except ValueError as error:
        raise ValueError(f"{METADATA}: {error}") from None


def _check_names(wanted: AbstractSet[str], got: AbstractSet[str]) -> None:
    if wanted != got:
        missing, unknown = sorted(wanted - got), [show_name(name) for name in sorted(got - wanted)]
        raise ValueError(f"expected a walk's tensors, missing {missing[:3]}, unknown {unknown[:3]}")


def _read_tensors(data: bytes) -> dict[str, _Stored]:
    try:
        tensors = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"expected a safetensors file, got a damaged one: {show(str(error))}") from None
    return {name: _Stored(each["dtype"], tuple(each["shape"]), each["data"]) for name, each in tensors}


def _take_arrays(
    stored: Mapping[str, _Stored], shapes: Mapping[str, tuple[str, tuple[int | str, ...]]]
) -> dict[str, NDArray[np.generic]]:
    lengths: dict[str, int] = {}
    arrays = {}
    for name, (dtype, shape) in shapes.items():
        tensor = stored[name]
        if tensor.dtype != dtype or not _fits(tensor.shape, shape, lengths):
            wanted = f"{dtype} {[lengths.get(str(side), side) for side in shape]}"
            raise ValueError(f"{name}: expected {wanted}, got {tensor.dtype} {list(tensor.shape)}")
        arrays[name] = np.frombuffer(tensor.data, _NUMBERS[dtype]).reshape(tensor.shape)
        if dtype == "F64" and not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name}: expected finite numbers, got others")
    return arrays


def _fits(shape: tuple[int, ...], wanted: tuple[int | str, ...], lengths: dict[str, int]) -> bool:
    """Compare shapes. A letter stands for one length, which its first use decides."""
    if len(shape) != len(wanted):
        return False
    for side, want in zip(shape, wanted, strict=True):
        if isinstance(want, str):
            if side > _MOST.get(want, _MAX_PICTURE_SIDE) or (want in "HWhw" and side == 0):
                return False
            want = lengths.setdefault(want, side)
        if side != want:
            return False
    return True


def _take_latents(stored: _Stored, count: int) -> Tensor:
    if stored.dtype not in _LATENT_TYPES or len(stored.shape) != 4 or stored.shape[0] != count:
        got = f"{stored.dtype} {list(stored.shape)}"
        raise ValueError(f"latents: expected floats of shape [{count}, C, h, w], got {got}")
    dtype = _LATENT_TYPES[stored.dtype]
    if 0 in stored.shape:
        return torch.empty(stored.shape, dtype=dtype)
    latents = torch.frombuffer(stored.data, dtype=dtype).reshape(stored.shape)
    extremes = torch.stack(torch.aminmax(latents))  # 40 times faster than a look at each number, on a CPU
    if not extremes.isfinite().all():
        raise ValueError("latents: expected finite numbers, got others")
    return latents


def _check_cameras(arrays: Arrays) -> None:
    for name in ("c2w", "camera_c2w", "origin_c2w"):
        if name in arrays:
            _named(name, check_rigid, arrays[name].astype(np.float64))
    for name in ("intrinsics", "camera_intrinsics", "origin_intrinsics"):
        if name in arrays:
            _named(name, _check_intrinsics, arrays[name].astype(np.float64))
    _check_range("is_camera", arrays["is_camera"], 0, 1)
    _check_range("labels", arrays["labels"], 0, NUM_LABELS - 1)
    _check_range("camera_labels", arrays["camera_labels"], NO_LABEL, NUM_LABELS - 1)
    _check_range("motions", arrays["motions"], -MAX_MOVE, MAX_MOVE)
    _check_range("latch_latents", arrays["latch_latents"], 0, MAX_POSES)
    _check_range("latch_moves", arrays["latch_moves"], 0, CHUNK_LATENTS)


def _named(name: str, check: Callable[[Pose], None], value: Pose) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_intrinsics(intrinsics: Pose) -> None:
    focal = np.stack([intrinsics[..., 0, 0], intrinsics[..., 1, 1]], axis=-1)
    rest = intrinsics.copy()
    rest[..., 0, 0] = rest[..., 1, 1] = 0.0
    expected = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 1.0]])
    if not ((focal >= 1 / MAX_FOCAL) & (focal <= MAX_FOCAL)).all() or not (rest == expected).all():
        raise ValueError("expected intrinsics in units of the image's sides, got others")


def _check_range(name: str, values: NDArray[np.generic], least: float, most: float) -> None:
    numbers = values.astype(np.float64)
    wrong = numbers[(numbers < least) | (numbers > most)]
    if len(wrong):
        raise ValueError(f"{name}: expected numbers of {least:g} to {most:g}, got {wrong[0]:g}")


def _read_beginning(header: BeginningHeader, arrays: Arrays) -> Beginning:
    origin = PosedCamera(
        arrays["origin_c2w"].astype(np.float64),
        header.origin_label,
        arrays["origin_intrinsics"].astype(np.float64),
    )
    world = WorldIdentity(header.world.name, header.world.weights, header.world.size)
    picture = _read_picture(world, arrays)
    return Beginning(
        world,
        header.view,
        header.seed,
        header.steps,
        origin,
        header.attention,
        picture,
        header.tier,
        header.walk,
    )


def _read_picture(world: WorldIdentity, arrays: Arrays) -> OwnPicture | None:
    if "picture" not in arrays:
        if "picture_siglip" in arrays:
            raise ValueError("expected picture beside picture_siglip, got none")
        return None
    width, height = world.size
    fitted = arrays["picture"].astype(np.uint8)
    if fitted.shape[:2] != (height, width):
        got = list(fitted.shape[:2])
        raise ValueError(f"picture: expected the world's size {[height, width]}, got {got}")
    siglip = arrays["picture_siglip"].astype(np.uint8) if "picture_siglip" in arrays else None
    return OwnPicture(fitted, siglip)


def _read_latches(arrays: Arrays) -> Iterator[LoggedLatch]:
    counts = arrays["latch_moves"].astype(np.int64).tolist()
    is_camera = arrays["is_camera"].astype(np.bool_)
    if sum(counts) != len(is_camera) or int(is_camera.sum()) != len(arrays["camera_c2w"]):
        raise ValueError(
            f"expected as many moves as the latches have, {sum(counts)}, and {int(is_camera.sum())} cameras, "
            f"got {len(is_camera)} and {len(arrays['camera_c2w'])}"
        )
    moves = _read_moves(arrays, is_camera)
    for latent, count in zip(arrays["latch_latents"].tolist(), counts, strict=True):
        yield LoggedLatch(latent, tuple(next(moves) for _ in range(count)))


def _read_moves(arrays: Arrays, is_camera: NDArray[np.bool_]) -> Iterator[Move]:
    cameras = zip(
        arrays["camera_c2w"].astype(np.float64),
        arrays["camera_labels"].tolist(),
        arrays["camera_intrinsics"].astype(np.float64),
        strict=True,
    )
    for given, numbers in zip(is_camera.tolist(), arrays["motions"].tolist(), strict=True):
        if given:
            c2w, label, intrinsics = next(cameras)
            yield PosedCamera(c2w, None if label == NO_LABEL else label, intrinsics)
        else:
            yield Motion(*numbers)
