"""Walks on a device that is not the CPU, without one: tensors have a place, but no content.

They find what a first run on a GPU would stumble over: operands on different devices, and content that is
asked for in the middle of the work. What is for CUDA alone does not run here: graphs, fused norms, products
in 8 bits, float16 and pinned memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from support.far_device import FAR, FarDevice, to_list
from support.published import TRANSFORMER, VAE
from worldplay.model import transformer
from worldplay.world.camera import Motion
from worldplay.world.chunk import Chunk, PendingChunk
from worldplay.world.embedded import load as embedded_load
from worldplay.world.embedded.conditioner import EmbeddedConditioner
from worldplay.world.kept_rollout import Keeping
from worldplay.world.live_walk import LiveWalk
from worldplay.world.released import load as released_load
from worldplay.world.released.load import ReleasedConfig
from worldplay.world.released.memory_estimate import Shapes
from worldplay.world.released.offload_plan import OffloadMode, OffloadPlan
from worldplay.world.released.variants import find_variant
from worldplay.world.steering import CircleSteering, TrajectorySteering, WalkRequest
from worldplay.world.warm_up import warm_up, warm_up_decoder
from worldplay.world.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[FarDevice]:
    monkeypatch.setattr(transformer, "_valid", all_valid)
    monkeypatch.setattr(embedded_load, "_check_finite", lambda *_: None)
    monkeypatch.setattr(Tensor, "tolist", to_list)
    with FarDevice() as gpu:
        yield gpu


def all_valid(tokens: Tensor, mask: Tensor) -> Tensor:
    """How many tokens are valid is content; where the mask lies is not."""
    assert mask.device == tokens.device
    return tokens


def walk(world: World, num_chunks: int, gpu: FarDevice) -> list[int]:
    """Go on, change the prompt, go back. Returns: frames of each chunk."""
    picture = world.crop(Image.new("RGB", (120, 80))) if world.own_pictures == "as_is" else None
    live = world.open_walk(WalkRequest(seed=0, steps=2, prompt='A door with "Bakery"', picture=picture))
    counts = []
    for index in range(num_chunks):
        chunk = go_on(live, gpu)
        counts.append(show(live.decode_for_encoder(chunk) if index else live.decode(chunk), gpu))
        if index == num_chunks - 2:
            live.set_prompt("A desert")
            live.truncate(1)
    return counts


def walk_live(world: World, num_chunks: int, gpu: FarDevice) -> list[int]:
    """Do before what is done once, cut a chunk, let go of all that can be computed again, and reopen."""
    warm_up(world)
    warm_up_decoder(world)
    live = world.open_walk(WalkRequest(seed=0, steps=2))
    chunk = go_on(live, gpu)
    assert show(islice(live.decode_for_encoder(chunk), 2), gpu) == 5
    assert live.differs(2, [Motion(yaw=0.1)])
    rest = finish(live.begin_cut(2, TrajectorySteering([Motion(yaw=0.1)] * 2)), gpu)
    assert show(live.decode_for_encoder(rest), gpu) == 8
    live.release()
    live.prepare()
    go_on(live, gpu)
    reopened = world.open_walk(WalkRequest(snapshot=live.snapshot()))
    last = reopened.show_last()
    assert last is not None
    assert show(reopened.decode(last), gpu) == 4
    go_on(reopened, gpu)
    return walk(world, num_chunks, gpu)


def go_on(live: LiveWalk, gpu: FarDevice) -> Chunk:
    return finish(live.begin_chunk(CircleSteering()), gpu)


def finish(chunk: PendingChunk, gpu: FarDevice) -> Chunk:
    """Generate a chunk, of which nothing may be read."""
    num_read = gpu.num_read
    made = chunk.finish()
    assert made.latents.device == FAR
    assert gpu.num_read == num_read
    return made


def show(decoded: Iterable[NDArray[np.uint8]], gpu: FarDevice) -> int:
    """Decode latents, each of which is read once. Returns: frames."""
    num_read = gpu.num_read
    frames = [len(each) for each in decoded]
    assert gpu.num_read == num_read + len(frames)
    return sum(frames)


@pytest.mark.parametrize(
    ("variant", "unrotated_caches", "encoders"),
    [
        ("ar-distilled", False, OffloadMode.ON_DEVICE),
        ("ar", True, OffloadMode.ON_CPU),
        ("bidirectional", False, OffloadMode.ON_DEVICE),
    ],
)
def test_released_model(
    gpu: FarDevice,
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
    world = released_load.load_released(config, layouts["diffusers"], FAR, 10**9)
    assert world.device == FAR
    if variant == "bidirectional":
        assert walk(world, 3, gpu) == [17, 20, 20]
    else:
        assert walk_live(world, 3, gpu) == [13, 16, 16]


def test_context_that_is_kept(gpu: FarDevice, layouts: dict[str, Path]) -> None:
    config = ReleasedConfig(find_variant("ar"), (64, 96), shapes=Shapes(TRANSFORMER, VAE))
    world = released_load.load_released(config, layouts["diffusers"], FAR, 10**12)
    world = replace(world, rollout=replace(world.rollout, keeping=Keeping(newest=4, most=256)))
    assert walk_live(world, 4, gpu) == [13, *[16] * 3]  # the third is the first that reads latents back


class Reader:
    """The prompt's encoder stays on the CPU in any case."""

    def read(self, prompts: list[str]) -> list[Tensor]:
        return [torch.zeros(3, 64) for _ in prompts]


def test_embedded_world(gpu: FarDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_load, "_load_reader", lambda *_: Reader())
    # What a prompt is taken as is decided on the CPU, from the content of its states, of which there is none.
    monkeypatch.setattr(EmbeddedConditioner, "_nearest_look", lambda *_: 0)
    world = embedded_load.load_embedded(embedded_load.EMBEDDED, FAR)
    assert world.device == FAR
    assert walk_live(world, 5, gpu) == [13, *[16] * 4]


def test_operands_on_different_devices_are_noticed(gpu: FarDevice) -> None:
    with pytest.raises(RuntimeError, match="two devices: \\['cpu', 'meta'\\]"):
        torch.zeros(2, device=FAR) + torch.zeros(2)
