"""Fixtures that load the embedded world, once, and serve it."""

from collections.abc import Iterator

import pytest
import torch

from worldplay.world.checkpoint import load_world
from worldplay.world.world import World


@pytest.fixture(scope="session")
def world() -> World:
    torch.set_num_threads(1)  # two would wait for each other while the browser uses a core
    return load_world("embedded", "cpu")


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[str]:
    """Host and port of a server of the embedded world."""
    from serving import serving  # here, so that tests of pure code do not import the application

    with serving(world) as address:
        yield address
