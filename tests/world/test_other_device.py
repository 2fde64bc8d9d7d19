"""Every path of a walk on a device that is not the CPU, without one: tensors have a place, but no content.

It finds what a first run on a GPU would stumble over: operands on different devices, and content that is
asked for in the middle of the work.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from support.far_device import FAR, FarDevice
from support.published import TRANSFORMER, VAE
from worldplay.model import transformer
from worldplay.world.embedded import load as embedded_load
from worldplay.world.embedded.conditioner import EmbeddedConditioner
from worldplay.world.kept_rollout import Keeping
from worldplay.world.released import load as released_load
from worldplay.world.released.load import ReleasedConfig
from worldplay.world.released.memory_estimate import Shapes
from worldplay.world.released.offload_plan import OffloadMode, OffloadPlan
from worldplay.world.released.variants import find_variant
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A device without content."""
    monkeypatch.setattr(transformer, "_valid", all_valid)
    monkeypatch.setattr(embedded_load, "_check_finite", lambda *_: None)
    monkeypatch.setattr(Tensor, "tolist", to_list)
    with FarDevice():
        yield FAR


def to_list(tensor: Tensor) -> object:
    return tensor.numpy().tolist()


def all_valid(tokens: Tensor, mask: Tensor) -> Tensor:
    """How many tokens are valid is content; where the mask lies is not."""
    assert mask.device == tokens.device
    return tokens


def walk(world: World, num_chunks: int) -> list[int]:
    """Go on, change the prompt, go back. Returns: frames of each chunk."""
    picture = world.crop(Image.new("RGB", (120, 80)))
    live = world.open_walk(WalkRequest(seed=0, steps=2, prompt='A door with "Bakery"', picture=picture))
    counts = []
    for index in range(num_chunks):
        chunk = live.begin_chunk(CircleSteering()).finish()
        assert chunk.latents.device == world.device
        counts.append(sum(len(frames) for frames in live.decode(chunk)))
        if index == num_chunks - 2:
            live.set_prompt("A desert")
            live.truncate(1)
    return counts


@pytest.mark.parametrize(
    ("variant", "unrotated_caches", "encoders"),
    [
        ("ar-distilled", False, OffloadMode.ON_DEVICE),
        ("ar", True, OffloadMode.ON_CPU),
        ("bidirectional", False, OffloadMode.ON_DEVICE),
    ],
)
def test_released_model(
    gpu: torch.device,
    layouts: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    variant: str,
    unrotated_caches: bool,
    encoders: OffloadMode,
) -> None:
    plan = OffloadPlan(unrotated_caches, encoders, OffloadMode.ON_DEVICE, peak=0, fits=True)
    monkeypatch.setattr(released_load, "choose_plan", lambda *_: (plan, 1))
    published = find_variant(variant)
    shortened = replace(published, chunk_latents=min(published.chunk_latents, 5))
    config = ReleasedConfig(shortened, (64, 96), shapes=Shapes(TRANSFORMER, VAE))
    world = released_load.load_released(config, layouts["diffusers"], gpu, 10**9)
    assert world.device == gpu
    if variant == "bidirectional":
        assert walk(world, 3) == [17, 20, 20]
    else:
        assert walk(world, 3) == [13, 16, 16]


def test_context_that_is_kept(gpu: torch.device, layouts: dict[str, Path]) -> None:
    config = ReleasedConfig(find_variant("ar"), (64, 96), shapes=Shapes(TRANSFORMER, VAE))
    world = released_load.load_released(config, layouts["diffusers"], gpu, 10**12)
    world = replace(world, rollout=replace(world.rollout, keeping=Keeping(newest=4, most=256)))
    assert walk(world, 4) == [13, *[16] * 3]  # the third is the first that reads latents back


class Reader:
    """The prompt's encoder stays on the CPU in any case."""

    def read(self, prompts: list[str]) -> list[Tensor]:
        return [torch.zeros(3, 64) for _ in prompts]


def test_embedded_world(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_load, "_load_reader", lambda *_: Reader())
    # What a prompt is taken as is decided on the CPU, from the content of its states, of which there is none.
    monkeypatch.setattr(EmbeddedConditioner, "_nearest_look", lambda *_: 0)
    world = embedded_load.load_embedded(embedded_load.EMBEDDED, gpu)
    assert world.device == gpu
    assert walk(world, 5) == [13, *[16] * 4]


def test_operands_on_different_devices_are_noticed(gpu: torch.device) -> None:
    with pytest.raises(RuntimeError, match="two devices: \\['cpu', 'meta'\\]"):
        torch.zeros(2, device=gpu) + torch.zeros(2)
