"""A clip in the making, stage by stage, by the embedded world."""

import torch

from support.live_and_offline import LABELS, walk_live_and_offline
from worldplay.world.world import World


def test_live_and_offline_make_equal_latents(world: World) -> None:
    live, offline, listener = walk_live_and_offline(world)
    assert live.walk.labels.tolist() == offline.walk.labels.tolist() == LABELS
    assert [report.chunk.index for report in listener.reports] == [0, 1]
    frames = range(live.walk.num_latents)
    assert torch.equal(live.walk.latents.gather(frames), offline.walk.latents.gather(frames))
