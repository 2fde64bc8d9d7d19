"""Loading a world: what is wrong with a directory is said in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from worldplay.world.checkpoint import EMBEDDED, choose_device, load_world


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(EMBEDDED, tmp_path / "world")
    return tmp_path / "world"


def edit(directory: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = directory / "world.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))


def test_missing_world(tmp_path: Path) -> None:
    with pytest.raises(
        OSError, match=r"world.json is missing: expected 'embedded', 'hy-worldplay' or a directory"
    ):
        load_world(str(tmp_path), "cpu")


def test_description_that_is_not_json(directory: Path) -> None:
    (directory / "world.json").write_text("{")
    with pytest.raises(ValueError, match=r"world.json is not JSON .* restore it"):
        load_world(str(directory), "cpu")


def test_description_that_lacks_a_part(directory: Path) -> None:
    edit(directory, lambda description: description.pop("rollout"))
    with pytest.raises(ValueError, match=r"world.json lacks rollout"):
        load_world(str(directory), "cpu")


def test_unknown_field_in_the_description(directory: Path) -> None:
    edit(directory, lambda description: description["transformer"].update(block=6))
    with pytest.raises(ValueError, match=r"does not describe a TransformerConfig: .*'block'"):
        load_world(str(directory), "cpu")


@pytest.mark.parametrize("kept", [0, 7, 100_000])
def test_truncated_weights(directory: Path, kept: int) -> None:
    path = directory / "transformer.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"transformer.safetensors is damaged or incomplete"):
        load_world(str(directory), "cpu")


def test_weights_of_a_smaller_model(directory: Path) -> None:
    edit(directory, lambda description: description["transformer"].update(blocks=7))
    with pytest.raises(ValueError, match=r"transformer.safetensors lacks double_blocks\."):
        load_world(str(directory), "cpu")


def test_weights_of_another_shape(directory: Path) -> None:
    edit(directory, lambda description: description["transformer"].update(text_dim=65))
    with pytest.raises(ValueError, match=r"has another shape for txt_in\."):
        load_world(str(directory), "cpu")


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "mps"])
def test_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match=f"got '{name}'"):
        choose_device(name)
