"""A short walk, its snapshot, and a store of either kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from support.saved import Saved
from support.stores import make_store
from support.tiny_world import make_world
from support.walks import walk_about
from worldplay.store.store import Store, new_id
from worldplay.world.live_walk import LiveWalk
from worldplay.world.snapshot import Snapshot


@pytest.fixture(scope="module")
def walk() -> Iterator[LiveWalk]:
    with torch.inference_mode():
        yield walk_about(make_world())


@pytest.fixture(scope="module")
def snapshot(walk: LiveWalk) -> Snapshot:
    return walk.snapshot()


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return make_store(tmp_path if request.param == "folder" else f"memory://{new_id()}")


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Saved]:
    with torch.inference_mode():
        saved = Saved(tmp_path)
        yield saved
        saved.keeper.close()
