"""The world that the settings ask for."""

from worldplay.settings import Settings
from worldplay.world.checkpoint import load_world
from worldplay.world.variants import parse_size
from worldplay.world.world import World


def open_world(settings: Settings) -> World:
    """Raises: ValueError or OSError as `load_world`."""
    return load_world(
        settings.model,
        settings.device,
        settings.variant,
        parse_size(settings.size),
        settings.weights_dir,
        settings.max_sessions,
    )
