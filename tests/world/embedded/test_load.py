"""Loading a world: what is wrong with a directory is said in one sentence."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from support.tiny_files import save_world
from support.tiny_world import VAE
from support.walks import AHEAD, go_on, open_walk
from worldplay.model.ranks import ALONE, Ranks
from worldplay.world.embedded.load import EMBEDDED, load_embedded
from worldplay.world.embedded.manifest import read_description

CPU = torch.device("cpu")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(EMBEDDED, tmp_path / "world")
    return tmp_path / "world"


@pytest.fixture
def description(tmp_path: Path) -> Path:
    """A directory in which only the description may be changed: the weights are the package's own."""
    (tmp_path / "world").mkdir()
    shutil.copy(EMBEDDED / "world.json", tmp_path / "world")
    for weights in EMBEDDED.glob("*.safetensors"):
        (tmp_path / "world" / weights.name).symlink_to(weights)
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
        load_embedded(tmp_path, CPU)


def test_description_that_is_not_json(description: Path) -> None:
    (description / "world.json").write_text("{")
    with pytest.raises(ValueError, match=r"world.json: expected JSON: .*; restore it"):
        load_embedded(description, CPU)


def test_description_that_lacks_a_part(description: Path) -> None:
    edit(description, lambda all_: all_.pop("rollout"))
    with pytest.raises(ValueError, match=r"world.json: rollout: expected this field, got none; restore it"):
        load_embedded(description, CPU)


def test_unknown_field_in_the_description(description: Path) -> None:
    edit(description, lambda all_: all_["transformer"].update(block=6))
    with pytest.raises(ValueError, match=r"world.json has the unexpected transformer.block; restore it"):
        load_embedded(description, CPU)


@pytest.mark.parametrize("content", ["null", "[]", "3", '"x"', "{}"])
def test_description_of_nothing(description: Path, content: str) -> None:
    (description / "world.json").write_text(content)
    with pytest.raises(ValueError, match=r"world.json: .*; restore it from the release"):
        load_embedded(description, CPU)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        (None, "format", 99),
        (None, "name", 5),
        (None, "title", None),
        (None, "size", [160]),
        (None, "size", [0, 0]),
        (None, "size", [100, 100]),
        (None, "size", [32 * 10**9, 32]),
        (None, "size", [32 * 10**30, 32]),
        (None, "size", ["160", "96"]),
        (None, "transformer", None),
        (None, "vae", 5),
        (None, "rollout", []),
        ("transformer", "hidden", "256"),
        ("transformer", "hidden", 256.5),
        ("transformer", "heads", 0),
        ("transformer", "patch_size", 2),
        ("transformer", "patch_size", [0, 1]),
        ("transformer", "patch_size", [2]),
        ("transformer", "latent_channels", 16),
        ("transformer", "vision_dim", 33),
        ("transformer", "text_dim", 65),
        ("transformer", "rope_theta", "x"),
        ("transformer", "rope_dims", [-16, 40, 40]),
        ("transformer", "blocks", 1_000_000),
        ("transformer", "refiner_blocks", 10_000_000),
        ("vae", "encoder_layers", 1_000_000),
        ("vae", "decoder_layers", 1_000_000),
        ("text", "num_layers", 1_000_000),
        ("rollout", "shift", 1e300),
        ("rollout", "steps", 101),
        ("rollout", "history_guidance", 1e300),
        ("sha256", "picture", "00"),
        ("sha256", "vae", 3),
        ("transformer", "rope_theta", float("nan")),
        ("vae", "scaling_factor", 0),
        ("vae", "scaling_factor", float("nan")),
        ("vae", "pixel_patch", "4"),
        ("vae", "encoder_channels", []),
        ("text", "num_layers", 0),
        ("rollout", "steps", 0),
        ("rollout", "steps", "4"),
        ("rollout", "chunk_latents", 3),
        ("rollout", "memory_latents", 2),
        ("rollout", "memory_latents", 11),
        ("rollout", "memory_latents", 22),
        ("rollout", "first_latents", 0),
        ("rollout", "first_latents", 5),
        ("rollout", "recent_latents", 12),
        ("rollout", "recent_latents", 3),
        ("rollout", "guidance", 3.0),
    ],
)
def test_description_of_no_world(description: Path, part: str | None, field: str, value: object) -> None:
    def change(description: dict[str, Any]) -> None:
        (description if part is None else description[part])[field] = value

    edit(description, change)
    with pytest.raises(ValueError, match=r"world.json: .*; restore it from the release"):
        load_embedded(description, CPU)


def test_sides_are_multiples_of_the_patch_along_them(description: Path) -> None:
    edit(description, lambda all_: all_["transformer"].update(patch_size=[2, 1]))
    described = read_description(description)
    assert replace(described, size=(352, 192)).size == (352, 192)
    with pytest.raises(ValueError, match=r"multiples of \(32, 64\) up to 1280, got \(320, 160\)"):
        replace(described, size=(320, 160))


def test_network_without_any_level(description: Path) -> None:
    edit(description, lambda all_: all_["vae"].update(encoder_channels=[], decoder_channels=[]))
    with pytest.raises(ValueError, match=r"world.json: vae: .*expected a positive channels, got 0; restore"):
        load_embedded(description, CPU)


@pytest.mark.parametrize("kept", [0, 7, 100_000])
def test_truncated_weights(directory: Path, kept: int) -> None:
    path = directory / "transformer.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"transformer.safetensors is damaged or incomplete"):
        load_embedded(directory, CPU)


def test_weights_of_a_smaller_model(description: Path) -> None:
    edit(description, lambda all_: all_["transformer"].update(blocks=7))
    with pytest.raises(ValueError, match=r"transformer.safetensors lacks double_blocks\."):
        load_embedded(description, CPU)


def test_weights_of_another_shape(description: Path) -> None:
    edit(description, lambda all_: all_["transformer"].update(byt5_dim=17))
    with pytest.raises(ValueError, match=r"has another shape for byt5_in\."):
        load_embedded(description, CPU)


@pytest.mark.parametrize(
    ("layers", "problem"), [(3, "lacks encoder.block.2."), (1, "has the unexpected encoder.block.1.")]
)
def test_text_encoder_of_another_depth(description: Path, layers: int, problem: str) -> None:
    edit(description, lambda all_: all_["text"].update(num_layers=layers))
    with pytest.raises(ValueError, match=rf"text.safetensors {problem}.*; restore it"):
        load_embedded(description, CPU)


def test_weights_of_another_network(directory: Path) -> None:
    shutil.copy(directory / "vae.safetensors", directory / "text.safetensors")
    with pytest.raises(ValueError, match=r"text.safetensors lacks encoder\..*; restore it"):
        load_embedded(directory, CPU)


@pytest.mark.parametrize("network", ["transformer", "vae", "text"])
def test_weights_that_are_not_numbers(directory: Path, network: str) -> None:
    path = directory / f"{network}.safetensors"
    weights = load_file(path)
    name = sorted(weights)[-1]
    weights[name].view(-1)[-1] = float("nan")
    save_file(weights, path)
    with pytest.raises(ValueError, match=rf"{network}.safetensors has numbers that are not finite in .*; "):
        load_embedded(directory, CPU)


@pytest.mark.parametrize("network", ["transformer", "vae", "text"])
def test_damage_that_still_loads(directory: Path, network: str) -> None:
    """Such as a download that has its full size, but holes."""
    path = directory / f"{network}.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    with pytest.raises(ValueError, match=rf"{network}.safetensors is damaged: its SHA-256 is not the one in"):
        load_embedded(directory, CPU)


def test_world_without_digests_is_known_by_its_files(description: Path) -> None:
    described = load_embedded(description, CPU)
    edit(description, lambda all_: all_.pop("sha256"))
    found = load_embedded(description, CPU)
    assert (found.name, found.weights) == ("embedded", described.weights)


class TwoRanks(Ranks):
    size = 2


@pytest.mark.parametrize(
    ("patch", "size", "ranks", "makes"),
    [
        (4, (48, 32), ALONE, True),
        (4, (48, 32), TwoRanks(), False),
        (3, (48, 36), ALONE, False),
        (1, (48, 32), ALONE, False),
    ],
)
def test_planes_are_made_by_one_rank_of_even_patches(
    tmp_path: Path, patch: int, size: tuple[int, int], ranks: Ranks, makes: bool
) -> None:
    folder = save_world(tmp_path, replace(VAE, pixel_patch=patch), size)
    world = load_embedded(folder, CPU, ranks)
    assert world.vae.makes_planes is makes
    if ranks is ALONE:
        walk = open_walk(world)
        (frame,) = next(walk.decode_for_encoder(go_on(walk, [AHEAD])))
        assert frame.shape == ((3 * size[1] // 2, size[0]) if makes else (size[1], size[0], 3))
