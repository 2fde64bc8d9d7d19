"""Reads a saved walk for a command, and loads its world so that it computes as it did then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from worldplay.clips.pose_option import read_file
from worldplay.settings import ModelSettings

if TYPE_CHECKING:
    from worldplay.world.snapshot import Snapshot
    from worldplay.world.world import World


@contextmanager
def open_with_world(settings: ModelSettings, path: Path) -> Iterator[tuple[World, Snapshot]]:
    """Read a saved walk, and load its world, on as many ranks as the settings ask for.

    Raises: ValueError or OSError naming the file, what was expected and what was found; ValueError saying why
        there cannot be so many ranks.
    """
    data = read_file(path)
    from worldplay.loading import open_ranks, open_world  # here, as these take seconds

    with _naming(path):
        snapshot = _read_walk(data)
    settings = _compute_alike(settings, snapshot)
    with open_ranks(settings) as ranks:
        with _naming(path):
            world = open_world(settings, sessions=0, clips=1, ranks=ranks)
            world.check_snapshot(snapshot)
        yield world, snapshot


def _read_walk(data: bytes) -> Snapshot:
    from worldplay.world.snapshot_reader import read_snapshot

    snapshot = read_snapshot(data)
    if snapshot.num_chunks == 0:
        raise ValueError("expected a walk of at least one chunk, got none")
    return snapshot


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _compute_alike(settings: ModelSettings, snapshot: Snapshot) -> ModelSettings:
    """Take the attention backend and the tier that the walk was made with, unless others were asked for."""
    if snapshot.beginning is None:
        return settings
    made = {"attention": snapshot.beginning.attention, "tier": snapshot.beginning.tier}
    update = {name: value for name, value in made.items() if name not in settings.model_fields_set}
    return settings.model_copy(update=update)
