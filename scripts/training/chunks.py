"""Lists every chunk of encoded walks that is in one light, as a table to choose from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 4  # latents

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunks:
    """A table of n chunks, with columns [n]: walk, first latent, light, and whether the light is new."""

    walk: Ints
    start: Ints
    light: Ints
    switched: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "Chunks":
        return Chunks(self.walk[chosen], self.start[chosen], self.light[chosen], self.switched[chosen])

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Draw one of them. Returns: its walk and its first latent."""
        row = rng.integers(len(self.walk))
        return int(self.walk[row]), int(self.start[row])


def find_chunks(lights: Ints) -> Chunks:
    """Find all chunks, at any latent, in which the light stays the same; lights is [W, T]."""
    windows = np.lib.stride_tricks.sliding_window_view(lights, CHUNK, axis=1)
    walk, start = np.nonzero((windows == windows[..., :1]).all(axis=-1))
    before = lights[walk, np.maximum(start - 1, 0)]
    light = lights[walk, start]
    return Chunks(walk, start, light, before != light)
