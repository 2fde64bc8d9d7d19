"""Every chunk of encoded walks that is seen in one light, as a table to choose from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK = 4  # latents

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunks:
    """Four latents each, column by column [n]: walk, first latent, light, and whether the light is new."""

    walk: Ints
    start: Ints
    light: Ints
    switched: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "Chunks":
        return Chunks(self.walk[chosen], self.start[chosen], self.light[chosen], self.switched[chosen])

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """Walk and first latent of one of them."""
        row = rng.integers(len(self.walk))
        return int(self.walk[row]), int(self.start[row])


def find_chunks(lights: Ints) -> Chunks:
    """All chunks, wherever they begin, in which the light of walks [W, T] stays the same."""
    windows = np.lib.stride_tricks.sliding_window_view(lights, CHUNK, axis=1)
    walk, start = np.nonzero((windows == windows[..., :1]).all(axis=-1))
    before = lights[walk, np.maximum(start - 1, 0)]
    light = lights[walk, start]
    return Chunks(walk, start, light, before != light)
