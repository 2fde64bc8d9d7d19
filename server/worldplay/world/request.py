"""What a visitor asks for when a walk begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worldplay.world.pictures.fit import StartPicture
    from worldplay.world.walk import Placed


@dataclass(frozen=True, slots=True)
class WalkRequest:
    """Which walk to open; what is None is the world's to choose."""

    view: str | None = None
    picture: StartPicture | None = None
    prompt: str | None = None
    seed: int | None = None
    steps: int | None = None  # of denoising, for each chunk
    origin: Placed | None = None  # the camera of the first latent, in the walk's own frame
