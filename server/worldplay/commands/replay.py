"""`worldplay replay`: makes a saved walk again, and says whether its latents are the same."""

import sys
from pathlib import Path

from worldplay.commands.saved_walk import open_with_world
from worldplay.settings import ModelSettings

# A file names only what the walk began with.
HINT = "a walk that went on with another --tier or --attention than it began with differs from there on"


def run(settings: ModelSettings, path: Path) -> bool:
    """Replay a walk. Returns: whether all latents are equal.

    Raises: ValueError or OSError saying what was expected and what was found.
    """
    with open_with_world(settings, path) as (world, snapshot):
        from worldplay.clips.saved_walk import begin_again
        from worldplay.world.replay import replay

        chunks = list(replay(world.open_walk(begin_again(snapshot)), snapshot))
    different = [chunk for chunk in chunks if chunk.difference or chunk.moved]
    if not different:
        sys.stdout.write(f"{path}: all {len(chunks)} chunks are equal\n")
        return True
    first, most = different[0], max(different, key=lambda chunk: chunk.difference)
    sys.stdout.write(
        f"{path}: {len(different)} of {len(chunks)} chunks differ. The first is chunk {first.index}, by up "
        f"to {first.difference:.3g}; chunk {most.index} differs most, by up to {most.difference:.3g}\n"
        f"{HINT}\n"
    )
    return False
