"""The world that the settings ask for."""

from dataclasses import replace
from pathlib import Path

import torch

from worldplay.settings import Settings
from worldplay.world.device import choose_device
from worldplay.world.embedded.load import find_embedded, load_embedded
from worldplay.world.frames import parse_size
from worldplay.world.released.files import is_released
from worldplay.world.released.variants import MODEL, find_variant
from worldplay.world.world import World


def open_world(settings: Settings, *, sessions: int, clips: int) -> World:
    """Load it with memory for so many sessions, or as many of them as fit, and for clips beside them.

    Raises: ValueError or OSError naming the file, what is wrong with it and the command that mends it.
    """
    device = choose_device(settings.device)
    if is_released(settings.model):
        return _open_released(settings, device, sessions, clips)
    # A second thread makes a chunk of a small world a fifth faster on an idle machine; but where the
    # browser wants a core as well, the two wait for each other, and a chunk can take seconds.
    torch.set_num_threads(1)
    return load_embedded(find_embedded(settings.model), device)


def _open_released(settings: Settings, device: torch.device, sessions: int, clips: int) -> World:
    from worldplay.world.released.load import (  # importing it takes seconds
        ReleasedConfig,
        free_bytes,
        load_released,
    )

    root = settings.weights_dir if settings.model == MODEL else Path(settings.model)
    variant = replace(find_variant(settings.variant), shift=settings.shift)
    config = ReleasedConfig(variant, parse_size(settings.size), sessions, clips)
    return load_released(config, root, device, free_bytes(device))
