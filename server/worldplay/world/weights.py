"""Reads published weights: safetensors files, one or several, mapped into memory, loaded strictly."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)
Placer = Callable[[str], torch.device]  # parameter name -> where it belongs

STEMS = ("model", "diffusion_pytorch_model", "byt5_model")  # all are published names
PART = ".part"  # what a file's name ends in until `worldplay download` has fetched all of it
_HUB_CACHE = ".cache/huggingface/download"
_DTYPES = {"F32", "F16", "BF16"}
_PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}
_LFS_POINTER = b"version https://git-lfs"


class Weights:
    """The tensors of one network, read from disk only when they are asked for.

    Raises: ValueError naming a file that is no whole safetensors file, or not what its index says, and
        the remedy.
    """

    def __init__(self, files: Iterable[Path], remedy: str, index: Path | None = None) -> None:
        """`index` tells which of the files each tensor is read from; without it they must differ in keys."""
        self.files = list(files)
        self.remedy = remedy
        readers = {path.name: _open(path, remedy) for path in self.files}
        stored = {name: set(reader.keys()) for name, reader in readers.items()}
        shards = {key: name for name, keys in stored.items() for key in keys}
        if index is not None:
            shards = _read_weight_map(index, remedy)
        for key, name in shards.items():
            if key not in stored[name]:
                raise ValueError(f"{index} says that {key} is in {name}, which lacks it; {remedy}")
        self._readers: dict[str, Any] = {key: readers[name] for key, name in shards.items()}

    @property
    def name(self) -> str:
        """How messages call these weights: the file, or the folder of the shards."""
        return str(self.files[0] if len(self.files) == 1 else self.files[0].parent)

    @property
    def keys(self) -> Collection[str]:
        return self._readers.keys()

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._readers[key].get_slice(key).get_shape())

    def dtype(self, key: str) -> str:
        """In safetensors' words."""
        return str(self._readers[key].get_slice(key).get_dtype())

    def read(self, key: str) -> Tensor:
        """A tensor on the CPU that shares memory with the file."""
        tensor: Tensor = self._readers[key].get_tensor(key)
        return tensor


def find_weights(folder: Path, remedy: str) -> Weights:
    """Open the weights in a folder, single or sharded, under the first of the published names that opens.

    Raises: OSError or ValueError naming what is missing or refused first, and the remedy.
    """
    problems: list[OSError | ValueError] = []
    for stem in STEMS:
        index, single = folder / f"{stem}.safetensors.index.json", folder / f"{stem}.safetensors"
        try:
            if index.is_file():
                return Weights(_shards(index, remedy), remedy, index)
            if single.is_file():
                return Weights([single], remedy)
        except (OSError, ValueError) as error:
            problems.append(error)
    raise problems[0] if problems else OSError(f"{_explain_absence(folder)}; {remedy}")


def _explain_absence(folder: Path) -> str:
    expected = " or ".join(f"{stem}.safetensors" for stem in STEMS[:2])
    if _is_unfinished(folder):
        return f"the download into {folder} has not been finished"
    if not folder.is_dir():
        return f"{folder} is missing: expected {expected} in it"
    for path in sorted(folder.iterdir()):
        if path.suffix in _PICKLES:
            return f"{path} is a pickle, which could run any code when opened; only safetensors are read"
    return f"{folder} has no {expected}"


def _is_unfinished(folder: Path) -> bool:
    """Whether an interrupted download left something: ours beside the files, huggingface_hub's above them."""
    caches = (above / _HUB_CACHE / folder.relative_to(above) for above in (folder, *folder.parents))
    return any(folder.glob(f"*{PART}")) or any(any(cache.glob("*.incomplete")) for cache in caches)


def _read_weight_map(index: Path, remedy: str) -> dict[str, str]:
    """The name of the shard that holds each tensor."""
    try:
        weight_map: dict[str, str] = json.loads(index.read_text())["weight_map"]
        plain = bool(weight_map) and all(Path(name).name == name for name in weight_map.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        plain = False
    if not plain:
        raise ValueError(f"{index} is not an index of shards; {remedy}")
    return weight_map


def _shards(index: Path, remedy: str) -> list[Path]:
    names = sorted(set(_read_weight_map(index, remedy).values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        unfinished = (index.parent / (missing[0] + PART)).is_file()
        raise OSError(
            f"{index.parent / missing[0]} is {'not finished' if unfinished else 'missing'} "
            f"({len(missing)} of {len(names)} shards are not there); {remedy}"
        )
    return [index.parent / name for name in names]


def _open(path: Path, remedy: str) -> Any:
    if path.suffix in _PICKLES:
        raise ValueError(
            f"{path} is a pickle, which could run any code when opened; only safetensors are read; {remedy}"
        )
    with path.open("rb") as file:
        if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ValueError(f"{path} is a Git LFS pointer instead of the weights; {remedy}")
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged or incomplete ({error}); {remedy}") from None


def build_empty(make: Callable[[], Module]) -> Module:
    """Construct a network without memory for its parameters; `fill` gives them theirs."""
    with torch.device("meta"):
        return make().requires_grad_(False).eval()


def fill(
    module: nn.Module,
    weights: Weights,
    dtype: torch.dtype,
    place: Placer,
    names: Mapping[str, str] | None = None,
) -> None:
    """Give an empty network its parameters, strictly: every one of them, and no others.

    Args:
        place: where each parameter goes, by name.
        names: the stored key of each parameter; None if the keys are the parameters' names.
    Raises: ValueError naming the first five keys that are missing, unexpected, of another shape, or not
        stored as floating point numbers.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    keys = names or dict(zip(weights.keys, weights.keys, strict=True))
    problem = find_mismatch(wanted, {name: weights.shape(key) for name, key in keys.items()})
    problem = problem or _find_other_dtype(weights, keys.values())
    if problem:
        raise ValueError(f"{weights.name} {problem}; {weights.remedy}")
    state = {name: weights.read(key).to(place(name), dtype) for name, key in keys.items()}
    module.load_state_dict(state, assign=True)


def find_mismatch(wanted: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]]) -> str | None:
    """What keeps weights of these shapes from a strict load, with the first five names."""
    shared = wanted.keys() & got.keys()
    for problem, names in (
        ("lacks", wanted.keys() - got.keys()),
        ("has the unexpected", got.keys() - wanted.keys()),
        ("has another shape for", {name for name in shared if wanted[name] != got[name]}),
    ):
        if names:
            return f"{problem} {', '.join(sorted(names)[:5])} ({len(names)} in all)"
    return None


def _find_other_dtype(weights: Weights, keys: Iterable[str]) -> str | None:
    """Numbers in fewer bits mean nothing without the scales that are stored somewhere else."""
    others = sorted(key for key in keys if weights.dtype(key) not in _DTYPES)
    if not others:
        return None
    return (
        f"stores {weights.dtype(others[0])} in {', '.join(others[:5])} ({len(others)} in all), "
        "and only float32, float16 and bfloat16 are read"
    )
