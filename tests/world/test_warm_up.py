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


@pytest.mark.parametrize("keeping", [None, Keeping(newest=8, most=64)])
def test_attention_of_a_walk_has_no_new_shape(
    keeping: Keeping | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: set[tuple[int, int]] = set()

    def note(q: Tensor, k: Tensor, v: Tensor, backend: str) -> Tensor:
        shapes.add((q.shape[2], k.shape[2]))
        return attend(q, k, v, backend)

    monkeypatch.setattr(blocks, "attend", note)
    world = make_world()
    world = replace(world, rollout=replace(world.rollout, keeping=keeping))
    warm_up(world)
    warm, walk = set(shapes), world.open_walk(WalkRequest(seed=0, prompt=""))
    for _ in range(5):
        walk.begin_chunk(CircleSteering()).finish()
    assert shapes == warm
