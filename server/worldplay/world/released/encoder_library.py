"""Builds encoders, tokenizers and processors with transformers. Errors name the file at fault."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, Qwen2_5_VLConfig

from worldplay.world.model_files import read_json
from worldplay.world.released.encoder_files import FileSets, find_inputs
from worldplay.world.weights import build_empty

Config = TypeVar("Config", bound=PreTrainedConfig)
Module = TypeVar("Module", bound=nn.Module)


def read_config(cls: type[Config], folder: Path) -> Config:
    """Read the configuration of an encoder, or of its language part. Raises: as `read_json`."""
    path = folder / "config.json"
    read_json(path)
    with blaming(path, "does not describe an encoder"):
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if isinstance(config, Qwen2_5_VLConfig):
        config = config.text_config
    if not isinstance(config, cls):
        raise ValueError(f"{path} describes a {type(config).__name__}, not a {cls.__name__}")
    return config


def build_encoder(make: Callable[[], Module], folder: Path) -> Module:
    """Build the network of a folder's configuration, without weights. Raises: ValueError naming the file."""
    with blaming(folder / "config.json", "does not describe an encoder"):
        return build_empty(make)


def read_inputs(cls: Any, folder: Path, file_sets: FileSets) -> Any:
    """Read a tokenizer or image processor. Raises: as `find_inputs`."""
    source = find_inputs(folder, file_sets)
    with blaming(folder / source, f"makes no {cls.__name__}"):
        return cls.from_pretrained(folder, local_files_only=True)


@contextmanager
def blaming(path: Path, what: str) -> Iterator[None]:
    """Turn any error into a ValueError that names the file."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  on a wrong file the libraries raise anything
        raise ValueError(f"{path} {what} ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    """Return an error's first line. A StrictDataclassError only names the field; its cause is the reason."""
    reason = error.__cause__ if isinstance(error, StrictDataclassError) else error
    line = str(reason).partition("\n")[0]
    return line if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {line}"
