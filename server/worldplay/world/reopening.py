"""Checks whether a snapshot can be walked on in a world, and turns its picture into what the world needs."""

from typing import Literal

import numpy as np
from PIL import Image

from worldplay.world.pictures.fit import StartPicture, bucket_size
from worldplay.world.snapshot import Beginning, OwnPicture, Snapshot, WorldIdentity
from worldplay.world.snapshot_reader import check_whole


def check_fits(snapshot: Snapshot, identity: WorldIdentity, latent_shape: tuple[int, ...]) -> Beginning:
    """Check that a snapshot is a whole walk of this world.

    Args:
        latent_shape: (C, h, w) of one latent in this world.
    Returns: how the walk began.
    Raises: ValueError saying what was expected and what was found.
    """
    check_whole(snapshot)
    beginning = snapshot.beginning
    assert beginning is not None, "a whole walk without a beginning"
    theirs = beginning.world
    for what, expected, got in (
        ("a walk of the world", identity.name, theirs.name),
        ("a walk of size", list(identity.size), list(theirs.size)),
        ("a walk made with the weights", identity.weights, theirs.weights),
        ("latents of shape", list(latent_shape), list(snapshot.latents.shape[1:])),
    ):
        if expected != got:
            raise ValueError(f"expected {what} {expected!r}, got {got!r}")
    return beginning


def keep_picture(picture: StartPicture, own_pictures: Literal["as_is", "nearest_view"]) -> OwnPicture:
    """Return what a snapshot keeps of a visitor's picture."""
    siglip = np.asarray(picture.siglip) if own_pictures == "as_is" else None
    return OwnPicture(np.asarray(picture.fitted), siglip)


def restore_picture(picture: OwnPicture) -> StartPicture:
    """Undo `keep_picture` where the walk is in the picture itself. Raises: ValueError if it is incomplete."""
    if picture.siglip is None:
        raise ValueError("expected the start picture in both its forms, got one")
    height, width = picture.siglip.shape[:2]
    if bucket_size(width, height) != (height, width):
        raise ValueError(f"expected a picture_siglip of a trained size, got {[height, width]}")
    return StartPicture(Image.fromarray(picture.fitted), Image.fromarray(picture.siglip))
