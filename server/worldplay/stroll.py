"""Steering for walks without a visitor, which are made to be timed."""

from worldplay.world.camera import FORWARD_STEP, TURN_STEP, Motion
from worldplay.world.walk import Step


class Stroll:
    """Walks on in a circle."""

    def predict(self, num_latents: int) -> list[Step]:
        return [Motion(forward=FORWARD_STEP, yaw=TURN_STEP)] * num_latents

    latch = predict
