"""The world that the settings ask for."""

from dataclasses import replace

import torch

from worldplay.settings import Settings
from worldplay.world.embedded.load import ReleasedChoice, is_released, load_world
from worldplay.world.frames import parse_size
from worldplay.world.released.variants import find_variant
from worldplay.world.world import World


def open_world(settings: Settings, *, sessions: int, clips: int) -> World:
    """Load it with memory for so many visitors, or as many of them as fit, and for clips beside them.

    Raises: ValueError or OSError as `load_world`.
    """
    if not is_released(settings.model):
        # A second thread makes a chunk of a small world a fifth faster on an idle machine; but where the
        # browser wants a core as well, the two wait for each other, and a chunk can take seconds.
        torch.set_num_threads(1)
    variant = replace(find_variant(settings.variant), shift=settings.shift)
    choice = ReleasedChoice(variant, parse_size(settings.size), settings.weights_dir, sessions, clips)
    return load_world(settings.model, settings.device, choice)
