"""Finds published weights in safetensors files, and reads their headers without torch."""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from torch import Tensor

STEMS = ("model", "diffusion_pytorch_model", "byt5_model")  # all are published names
_IDENTIFYING_BYTES = 2**20
PART = ".part"  # suffix of a file that `worldplay download` has not completed
_HUB_CACHE = ".cache/huggingface/download"
_DTYPES = {"F32", "F16", "BF16"}
_PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}
_REFUSED = "is a pickle, which could run any code when opened; only safetensors are read"
_LFS_POINTER = b"version https://git-lfs"


class Weights:
    """The tensors of one network, read from disk only when requested.

    Raises: ValueError naming a file that is not a complete safetensors file, or does not match its index.
    """

    def __init__(self, files: Iterable[Path], index: Path | None = None) -> None:
        """`index` tells which file holds each tensor; without it no key may be in two files."""
        self.files = list(files)
        headers = {path.name: _open(path, "numpy") for path in self.files}
        stored = {name: set(header.keys()) for name, header in headers.items()}
        shards = {key: name for name, keys in stored.items() for key in keys}
        if index is not None:
            shards = _read_weight_map(index)
        for key, name in shards.items():
            if key not in stored[name]:
                raise ValueError(f"{index} says that {key} is in {name}, which lacks it")
        self._shards = shards
        self._headers = headers
        self._readers: dict[str, Any] = {}  # for torch, of the files that were read from

    @property
    def name(self) -> str:
        """Return the name for messages: the file, or the folder of the shards."""
        return str(self.files[0] if len(self.files) == 1 else self.files[0].parent)

    def identify(self) -> str:
        """Identify the content, without reading gigabytes: by the size, beginning and end of every file."""
        digest = sha256()
        for path in sorted(self.files):
            with path.open("rb") as file:
                digest.update(file.read(_IDENTIFYING_BYTES))
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _IDENTIFYING_BYTES))
                digest.update(file.read() + size.to_bytes(8, "little"))
        return digest.hexdigest()[:16]

    @property
    def num_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.files)

    @property
    def keys(self) -> Collection[str]:
        return self._shards.keys()

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._headers[self._shards[key]].get_slice(key).get_shape())

    def dtype(self, key: str) -> str:
        """Return a tensor's dtype under safetensors' name."""
        return str(self._headers[self._shards[key]].get_slice(key).get_dtype())

    def read(self, key: str) -> "Tensor":
        """Return a tensor on the CPU; it shares memory with the file."""
        shard = self._shards[key]
        if shard not in self._readers:
            (path,) = (path for path in self.files if path.name == shard)
            self._readers[shard] = _open(path, "pt")
        tensor: Tensor = self._readers[shard].get_tensor(key)
        return tensor


def find_weights(folder: Path) -> Weights:
    """Open the weights in a folder, single or sharded, under the first published name that can be opened.

    Raises: OSError or ValueError naming the first problem.
    """
    problems: list[OSError | ValueError] = []
    for stem in STEMS:
        index, single = folder / f"{stem}.safetensors.index.json", folder / f"{stem}.safetensors"
        try:
            if index.is_file():
                return Weights(_list_shards(index), index)
            if single.is_file():
                return Weights([single])
        except (OSError, ValueError) as error:
            problems.append(error)
    raise problems[0] if problems else OSError(_explain_absence(folder))


def _explain_absence(folder: Path) -> str:
    expected = " or ".join(f"{stem}.safetensors" for stem in STEMS[:2])
    if _is_unfinished(folder):
        return f"the download into {folder} has not been finished"
    if not folder.is_dir():
        return f"{folder} is missing: expected {expected} in it"
    for path in sorted(folder.iterdir()):
        if path.suffix in _PICKLES:
            return f"{path} {_REFUSED}"
    return f"{folder} has no {expected}"


def _is_unfinished(folder: Path) -> bool:
    """Return whether an interrupted download left files: `.part` here, or huggingface_hub's in a parent."""
    caches = (above / _HUB_CACHE / folder.relative_to(above) for above in (folder, *folder.parents))
    return any(folder.glob(f"*{PART}")) or any(any(cache.glob("*.incomplete")) for cache in caches)


def _read_weight_map(index: Path) -> dict[str, str]:
    """Read the name of the shard that holds each tensor."""
    try:
        weight_map: dict[str, str] = json.loads(index.read_text())["weight_map"]
        plain = bool(weight_map) and all(Path(name).name == name for name in weight_map.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        plain = False
    if not plain:
        raise ValueError(f"{index} is not an index of shards")
    return weight_map


def _list_shards(index: Path) -> list[Path]:
    names = sorted(set(_read_weight_map(index).values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        unfinished = (index.parent / (missing[0] + PART)).is_file()
        raise OSError(
            f"{index.parent / missing[0]} is {'not finished' if unfinished else 'missing'} "
            f"({len(missing)} of {len(names)} shards are not there)"
        )
    return [index.parent / name for name in names]


def _open(path: Path, framework: str) -> Any:
    """Read a file's header, and check that the file is as long as it says."""
    if path.suffix in _PICKLES:
        raise ValueError(f"{path} {_REFUSED}")
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ValueError(f"{path} is a Git LFS pointer instead of the weights")
    try:
        return safe_open(path, framework=framework, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged or incomplete ({error})") from None


def check_tensors(weights: Weights, wanted: Mapping[str, tuple[int, ...]], names: Mapping[str, str]) -> None:
    """Check that weights fill a network strictly: every parameter, and no others.

    Args:
        wanted: shapes by parameter.
        names: the stored key of each parameter.
    Raises: ValueError naming the first five keys that are missing, unexpected, of another shape, or not
        stored as floating point numbers.
    """
    problem = find_mismatch(wanted, {name: weights.shape(key) for name, key in names.items()})
    if problem:
        raise ValueError(f"{weights.name} {problem}")
    check_dtypes(weights, names.values())


def find_mismatch(wanted: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]]) -> str | None:
    """Return why weights of these shapes do not load strictly, with the first five names; None if they do."""
    shared = wanted.keys() & got.keys()
    for problem, names in (
        ("lacks", wanted.keys() - got.keys()),
        ("has the unexpected", got.keys() - wanted.keys()),
        ("has another shape for", {name for name in shared if wanted[name] != got[name]}),
    ):
        if names:
            return f"{problem} {', '.join(sorted(names)[:5])} ({len(names)} in all)"
    return None


def check_dtypes(weights: Weights, keys: Iterable[str]) -> None:
    """Refuse quantised numbers: they need scales that are stored elsewhere.

    Raises: ValueError naming the first five keys.
    """
    others = sorted({key for key in keys if weights.dtype(key) not in _DTYPES})
    if others:
        raise ValueError(
            f"{weights.name} stores {weights.dtype(others[0])} in {', '.join(others[:5])} "
            f"({len(others)} in all), and only float32, float16 and bfloat16 are read"
        )
