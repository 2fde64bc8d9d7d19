"""Gives a walk a past of noise, for measurements: a chunk behind it takes as long as behind pictures."""

from worldplay.world.rollout_model import RolloutModel
from worldplay.world.steering import CircleSteering
from worldplay.world.walk import Walk


def append_noise(walk: Walk, num_latents: int, model: RolloutModel) -> None:
    """Append latents of noise to an empty walk, in a wide circle."""
    path = walk.follow(CircleSteering().predict(num_latents - 1))
    noise = walk.draw_noise(0, num_latents)
    walk.append(noise.to(model.transformer.device, model.transformer.dtype), path)
