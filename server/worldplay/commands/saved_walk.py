"""Reads a saved walk for a command, and loads its world so that it computes as it did then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from worldplay.clips.recording import read_file
from worldplay.settings import ModelSettings

if TYPE_CHECKING:
    from worldplay.world.snapshot import Snapshot
    from worldplay.world.world import World


def load_with_world(settings: ModelSettings, path: Path) -> tuple[World, Snapshot]:
    """Read a saved walk, and load its world.

    Raises: ValueError or OSError naming the file, what was expected and what was found.
    """
    data = read_file(path)
    from worldplay.loading import open_world  # here, as these take seconds
    from worldplay.world.snapshot_reader import read_snapshot

    try:
        snapshot = read_snapshot(data)
        if snapshot.num_chunks == 0:
            raise ValueError("expected a walk of at least one chunk, got none")
        world = open_world(_compute_alike(settings, snapshot), sessions=0, clips=1)
        world.check_snapshot(snapshot)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return world, snapshot


def _compute_alike(settings: ModelSettings, snapshot: Snapshot) -> ModelSettings:
    """Take the attention backend that the walk was made with, unless another one was asked for."""
    if "attention" in settings.model_fields_set or snapshot.beginning is None:
        return settings
    return settings.model_copy(update={"attention": snapshot.beginning.attention})
