"""Reads the small files of encoders, configurations and tokenizers, and says which one is wrong."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, Qwen2_5_VLConfig

from worldplay.world.weights import build_empty

Config = TypeVar("Config", bound=PreTrainedConfig)
Module = TypeVar("Module", bound=nn.Module)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Raises: OSError or ValueError naming the file and the remedy."""
    if not path.is_file():
        raise OSError(f"{path} is missing; {remedy}")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); {remedy}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not an object; {remedy}")
    return content


def read_config(cls: type[Config], folder: Path, remedy: str) -> Config:
    """The configuration of an encoder, or of the language part of one. Raises as `read_json`."""
    path = folder / "config.json"
    read_json(path, remedy)
    with blaming(path, "does not describe an encoder", remedy):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if isinstance(config, Qwen2_5_VLConfig):
        config = config.text_config
    if not isinstance(config, cls):
        raise ValueError(f"{path} describes a {type(config).__name__}, not a {cls.__name__}; {remedy}")
    return config


def build_encoder(make: Callable[[], Module], folder: Path, remedy: str) -> Module:
    """The network that a folder's configuration describes, empty. Raises as `read_json`."""
    with blaming(folder / "config.json", "does not describe an encoder", remedy):
        return build_empty(make)


def read_inputs(cls: Any, folder: Path, file_sets: Sequence[Sequence[str]], remedy: str) -> Any:
    """A tokenizer or image processor from one of several sets of files; all others are optional.

    Without them the library would quietly make an empty one. Raises as `read_json`.
    """
    missing = [[name for name in names if not (folder / name).is_file()] for names in file_sets]
    if all(missing):
        begun = [names for names, wanted in zip(missing, file_sets, strict=True) if names[0] != wanted[0]]
        raise OSError(f"{folder / (begun or missing)[0][0]} is missing; {remedy}")
    for path in sorted(folder.glob("*.json")):
        read_json(path, remedy)
    source = file_sets[missing.index([])][0]
    with blaming(folder / source, f"makes no {cls.__name__}", remedy):
        return cls.from_pretrained(folder, local_files_only=True)


@contextmanager
def blaming(path: Path, what: str, remedy: str) -> Iterator[None]:
    """Turn whatever goes wrong into a ValueError that names the file and the remedy."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  libraries that get a wrong file fail in any way they like
        raise ValueError(f"{path} {what} ({_first_line(error)}); {remedy}") from None


def _first_line(error: Exception) -> str:
    """The reason itself, where the library only says in which field it is, and what kind of one it is."""
    reason = error.__cause__ if isinstance(error, StrictDataclassError) else error
    line = str(reason).partition("\n")[0]
    return line if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {line}"
