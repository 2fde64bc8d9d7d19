"""Every shape that a walk has is run while the world is loaded, so that no walk waits for kernels."""

from dataclasses import replace

import pytest
from torch import Tensor

from support.tiny_world import make_world
from worldplay.model import blocks
from worldplay.model.attention import attend
from worldplay.world.kept_rollout import Keeping
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.warm_up import warm_up


@pytest.mark.parametrize(("memory", "first"), [(12, 4), (10, 2)])
@pytest.mark.parametrize("keeping", [None, Keeping(newest=8, most=64)])
def test_attention_of_a_walk_has_no_new_shape(
    keeping: Keeping | None, memory: int, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: set[tuple[int, int]] = set()

    def note(q: Tensor, k: Tensor, v: Tensor, backend: str) -> Tensor:
        shapes.add((q.shape[2], k.shape[2]))
        return attend(q, k, v, backend)

    monkeypatch.setattr(blocks, "attend", note)
    world = make_world()
    config = replace(world.rollout.config, memory_latents=memory, first_latents=first)
    world = replace(world, rollout=replace(world.rollout, config=config, keeping=keeping))
    warm_up(world)
    warm, walk = set(shapes), world.open_walk(WalkRequest(seed=0, prompt=""))
    for _ in range(5):
        walk.begin_chunk(CircleSteering()).finish()
    assert shapes == warm
