"""A world in an engine that decodes on a thread of its own: the same latents and frames as on one thread."""

from threading import Event

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from support.fakes import Recorder
from support.tiny_world import make_world
from worldplay.engine.engine import Engine
from worldplay.engine.ports import ChunkReport, Frames
from worldplay.world.steering import WalkRequest
from worldplay.world.world import World

NUM_CHUNKS = 4
NUM_FRAMES = 16 * NUM_CHUNKS - 3


class Keeper(Recorder):
    """Keeps all that it gets, and asks for one chunk after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.latents: list[Tensor] = []
        self.frames: list[NDArray[np.uint8]] = []
        self.num_threads: set[int] = set()
        self.has_all = Event()

    def on_chunk(self, report: ChunkReport) -> None:
        super().on_chunk(report)
        self.latents.append(report.chunk.latents)

    def on_frames(self, frames: Frames, decode_ms: float, decoded_at_ms: float) -> None:
        super().on_frames(frames, decode_ms, decoded_at_ms)
        self.frames.append(frames)
        self.num_threads.add(torch.get_num_threads())
        if self.num_frames == NUM_FRAMES:
            self.has_all.set()


def walk(world: World, *, decodes_beside: bool, num_visitors: int) -> list[Keeper]:
    engine = Engine(world, num_visitors, 0, decodes_beside=decodes_beside)
    engine.start()
    keepers = [Keeper() for _ in range(num_visitors)]
    for seed, keeper in enumerate(keepers):
        session = keeper.session = engine.open(keeper)
        session.start(WalkRequest(seed=seed))
        session.pause()
        for _ in range(NUM_CHUNKS):
            session.step()
    for keeper in keepers:
        assert keeper.has_all.wait(30)
    assert engine.close()
    return keepers


@pytest.mark.parametrize("num_visitors", [1, 2])
def test_latents_and_frames_are_the_same_to_the_last_bit(num_visitors: int) -> None:
    world = make_world()
    alone = walk(world, decodes_beside=False, num_visitors=num_visitors)
    beside = walk(world, decodes_beside=True, num_visitors=num_visitors)
    for one, two in zip(alone, beside, strict=True):
        assert torch.equal(torch.cat(one.latents, dim=2), torch.cat(two.latents, dim=2))
        assert np.array_equal(np.concatenate(one.frames), np.concatenate(two.frames))
        assert one.num_threads == two.num_threads
