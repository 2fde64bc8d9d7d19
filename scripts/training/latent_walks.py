"""Encoded walks: their plans as one table, and their latents, true ones and some the model generated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.batch import Moment
from training.walk_files import load_plan


@dataclass(frozen=True, slots=True)
class WalkTable:
    """Plans of walks: court poses [W, T, 4, 4], labels and lights [W, T], start views [W] (or -1)."""

    c2w: NDArray[np.float64]
    labels: NDArray[np.int64]
    lights: NDArray[np.int64]
    views: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.views)


@dataclass(frozen=True, slots=True)
class LatentWalks:
    """Encoded walks."""

    plans: WalkTable
    latents: Tensor  # [W, T, C, h, w]
    images: Tensor  # [V, C, h, w], the start views' latents by day

    def __len__(self) -> int:
        return len(self.plans)

    def to(self, device: torch.device) -> "LatentWalks":
        return replace(self, latents=self.latents.to(device), images=self.images.to(device))


def load_latents(walks: Path, latents: Path, seeds: list[int]) -> LatentWalks:
    """Read encoded walks and their plans, cut to the shortest."""
    encoded = [np.load(latents / f"{seed}.npy") for seed in seeds]
    plans = [load_plan(walks, seed) for seed in seeds]
    shortest = min(len(walk) for walk in encoded)
    table = WalkTable(
        c2w=np.stack([plan.c2w[:shortest] for plan in plans]),
        labels=np.stack([plan.labels()[:shortest] for plan in plans]),
        lights=np.stack([plan.lights[:shortest] for plan in plans]),
        views=np.array([-1 if plan.view is None else plan.view for plan in plans]),
    )
    return LatentWalks(
        plans=table,
        latents=torch.from_numpy(np.stack([walk[:shortest] for walk in encoded])).float(),
        images=torch.from_numpy(np.load(latents / "views.npy")).float(),
    )


class LatentPool:
    """The latents that samples are made of."""

    def __init__(self, true: Tensor) -> None:
        """true: [W, T, C, h, w]."""
        self._true, self._made = true, torch.empty_like(true)  # memory is taken when it is written
        self._rows: set[int] = set()

    @property
    def rows(self) -> Sequence[int]:
        """The walks of which there are generated latents."""
        return sorted(self._rows)

    def keep(self, row: int, latents: Tensor) -> None:
        """Offer generated latents of a walk, [T, C, h, w], as context; they replace earlier ones."""
        self._made[row, : len(latents)] = latents
        self._rows.add(row)

    def gather(self, moments: Sequence[Moment]) -> Tensor:
        """Return the latents of samples that have the same number of them, [B, N + 4 K, C, h, w]."""
        places = torch.from_numpy(np.stack([moment.places for moment in moments]))
        walks, indices = places.to(self._true.device).unbind(-1)
        latents = self._true[walks, indices]
        num_made = torch.tensor([moment.num_made for moment in moments], device=latents.device)
        if num_made.any():
            is_made = torch.arange(latents.shape[1], device=latents.device) < num_made[:, None]
            latents[is_made] = self._made[walks[is_made], indices[is_made]]
        return latents
