"""How much is measured: everything, or in minutes enough to see that nothing is broken."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers of walks, chunks and other things to measure."""

    vae_walks: int
    vae_frames: int  # 1 + 4 n
    rollout_walks: int
    rollout_chunks: int
    more_walks: int  # shorter ones, for a better mean
    more_chunks: int
    light_walks: int  # rollouts in every other light than day
    baseline_walks: int  # rollouts with less context
    baseline_chunks: int
    action_stride: int  # only every action_stride-th combination is generated
    action_chunks: int
    minutes: int
    loop_views: int
    loop_kinds: int  # of loops.KINDS, from the first
    stand_views: int
    prompts: int  # of each light
    changes: int  # of the light, of 12
    step_walks: int
    step_chunks: int
    precision_chunks: int  # where bf16 is slow
    approximation_walks: int
    approximation_chunks: int
    cut_walks: int
    cut_chunks: int
    lever_walks: int
    lever_views: int


FULL = Scale(
    vae_walks=3,
    vae_frames=129,
    rollout_walks=6,
    rollout_chunks=40,
    more_walks=24,
    more_chunks=11,
    light_walks=2,
    baseline_walks=3,
    baseline_chunks=40,
    action_stride=1,
    action_chunks=4,
    minutes=12,
    loop_views=3,
    loop_kinds=6,
    stand_views=3,
    prompts=20,
    changes=12,
    step_walks=4,
    step_chunks=11,
    precision_chunks=2,
    approximation_walks=3,
    approximation_chunks=20,
    cut_walks=8,
    cut_chunks=10,
    lever_walks=4,
    lever_views=3,
)

QUICK = Scale(
    vae_walks=1,
    vae_frames=65,
    rollout_walks=2,
    rollout_chunks=40,
    more_walks=4,
    more_chunks=4,
    light_walks=0,
    baseline_walks=1,
    baseline_chunks=12,
    action_stride=5,
    action_chunks=4,
    minutes=2,
    loop_views=1,
    loop_kinds=2,
    stand_views=1,
    prompts=1,
    changes=2,
    step_walks=1,
    step_chunks=6,
    precision_chunks=1,
    approximation_walks=1,
    approximation_chunks=8,
    cut_walks=1,
    cut_chunks=6,
    lever_walks=2,
    lever_views=2,
)
