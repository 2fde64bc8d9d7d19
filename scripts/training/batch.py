"""Samples of the transformer's training, one by one and joined to batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.chunks import CHUNK
from worldplay.world.camera import DEFAULT_INTRINSICS, invert_pose
from worldplay.world.courtyard.views import VIEWPOINTS


@dataclass(frozen=True, slots=True)
class Condition:
    """The condition of a sample: its walk's start view, and its prompt's light and states [words, D]."""

    view: int
    light: int
    prompt: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample without its latents: where they are, court poses and labels of context and chunks."""

    places: NDArray[np.int64]  # [N + 4 K, 2], walk and latent
    num_made: int  # so many of the first latents are those that the model generated
    c2w: NDArray[np.float64]
    labels: NDArray[np.int64]
    condition: Condition


@dataclass(frozen=True, slots=True)
class Batch:
    """B samples of the same context size N: latents of the context, then of K chunks, and their inputs."""

    latents: Tensor  # [B, C, N + 4 K, h, w]
    cond: Tensor  # [B, C + 1, N + 4 K, h, w]
    viewmats: Tensor  # [B, N + 4 K, 4, 4] float32
    intrinsics: Tensor  # [B, N + 4 K, 3, 3] float32
    actions: Tensor  # [B, N + 4 K]
    conditions: Tensor  # [B], each sample's row of the two that follow
    text_images: Tensor  # [P, C, h, w]
    text_states: Tensor  # [P, words, D]
    num_context: int

    @property
    def num_chunks(self) -> int:
        return (self.latents.shape[2] - self.num_context) // CHUNK


def collate(moments: Sequence[Moment], latents: Tensor, images: Tensor, num_context: int) -> Batch:
    """Join samples of the same length to a batch, with poses relative to their start views.

    Args:
        latents: theirs, [B, N + 4 K, C, h, w]; its device becomes the batch's.
        images: [V, C, h, w], the start views' latents.
    """
    device = latents.device
    conditions = list({id(moment.condition): moment.condition for moment in moments}.values())
    rows = {id(condition): row for row, condition in enumerate(conditions)}
    views = torch.tensor([moment.condition.view for moment in moments], device=device)
    starts = np.stack([VIEWPOINTS[moment.condition.view].c2w for moment in moments])
    w2c = invert_pose(np.stack([moment.c2w for moment in moments])) @ starts[:, None]
    is_first = np.stack([moment.places[:, 1] == 0 for moment in moments])
    return Batch(
        latents=latents.transpose(1, 2),
        cond=_mark_first(images[views], torch.from_numpy(is_first).to(device)),
        viewmats=torch.from_numpy(w2c).float().to(device),
        intrinsics=torch.tensor(DEFAULT_INTRINSICS, device=device).float().expand(*is_first.shape, 3, 3),
        actions=torch.from_numpy(np.stack([moment.labels for moment in moments])).to(device),
        conditions=torch.tensor([rows[id(moment.condition)] for moment in moments], device=device),
        text_images=images[[condition.view for condition in conditions]],
        text_states=torch.from_numpy(np.stack([one.prompt for one in conditions])).to(device),
        num_context=num_context,
    )


def _mark_first(images: Tensor, is_first: Tensor) -> Tensor:
    """Make the condition [B, C + 1, T, h, w]: images [B, C, h, w] and ones at first latents, or 0."""
    marked = torch.cat([images, torch.ones_like(images[:, :1])], dim=1)
    return marked[:, :, None] * is_first[:, None, :, None, None]
