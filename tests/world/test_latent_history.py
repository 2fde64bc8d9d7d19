"""Latent frames of a walk, in blocks."""

import pytest
import torch

from worldplay.world.latent_history import BLOCK, LatentHistory


def frames(first: int, count: int) -> torch.Tensor:
    """Latents [1, 2, count, 1, 1] whose values are their numbers."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    return numbers.repeat(1, 2, 1)[..., None, None]


def filled(count: int) -> LatentHistory:
    history = LatentHistory()
    for first in range(0, count, 4):
        history.append(frames(first, min(4, count - first)))
    return history


def test_gather_returns_frames_across_blocks() -> None:
    history = filled(2 * BLOCK + 3)
    assert len(history) == 2 * BLOCK + 3
    got = history.gather([0, BLOCK - 1, BLOCK, 2 * BLOCK + 2])
    assert got.shape == (1, 2, 4, 1, 1)
    assert got[0, 1, :, 0, 0].tolist() == [0, BLOCK - 1, BLOCK, 2 * BLOCK + 2]


def test_history_keeps_copies() -> None:
    history, latents = LatentHistory(), frames(0, 1)
    history.append(latents)
    latents.fill_(9)
    assert history.gather([0]).unique().tolist() == [0]


@pytest.mark.parametrize("length", [0, 1, BLOCK, BLOCK + 1])
def test_truncated_history_goes_on(length: int) -> None:
    history = filled(2 * BLOCK)
    history.truncate(length)
    history.append(frames(500, 1))
    assert len(history) == length + 1
    assert history.gather([length])[0, 0, 0].item() == 500


def test_gather_beyond_the_end_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="latent frame 5 of 4"):
        filled(4).gather([5])
