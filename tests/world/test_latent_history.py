"""Latent frames of a walk, in blocks."""

import pytest
import torch

from worldplay.world.latent_history import BLOCK, LatentHistory
from worldplay.world.rollout_config import LATENTS_ON_DEVICE


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


@pytest.mark.parametrize("length", [1, BLOCK - 1, BLOCK, 2 * BLOCK + 3])
def test_frames_of_a_whole_walk_are_taken_over_at_once(length: int) -> None:
    history = filled(5)
    history.append(frames(5, length))
    assert history.gather(range(5 + length))[0, 0, :, 0, 0].tolist() == list(range(5 + length))
    assert len(set(map(id, history.identify(range(5 + length))))) == 5 + length


@pytest.mark.parametrize("first", [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 2])
def test_frames_from_any_one_on_are_copied(first: int) -> None:
    history = filled(2 * BLOCK + 3)
    copied = history.copy_from(first)
    assert copied.is_contiguous()
    assert copied.shape[1:] == (2, 1, 1)
    assert copied[:, 0, 0, 0].tolist() == list(range(first, 2 * BLOCK + 3))
    copied.fill_(9)
    assert history.gather([2 * BLOCK + 2]).unique().tolist() == [2 * BLOCK + 2]


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


@pytest.mark.parametrize("length", [20 * BLOCK, 5, 2 * BLOCK + 1])
def test_old_frames_move_to_the_host(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """They come back to the device when they are read, also after a rewind to them."""
    moved: list[int] = []

    class Counted(torch.Tensor):
        def cpu(self) -> torch.Tensor:  # type: ignore[override]
            moved.append(int(self[0, 0, 0, 0]))
            return self.as_subclass(torch.Tensor)

    history, last = LatentHistory(), 20 * BLOCK
    for first in range(0, last, 4):
        history.append(frames(first, 4).as_subclass(Counted))
    assert moved == [number * BLOCK for number in range(20 - LATENTS_ON_DEVICE // BLOCK)]
    history.truncate(length)
    history.append(frames(500, 1))
    assert history.gather([0, 3, length])[0, 0, :, 0, 0].tolist() == [0, 3, 500]


def test_frames_are_told_apart_from_those_that_replace_them() -> None:
    history = filled(8)
    before = history.identify(range(8))
    assert len(set(map(id, before))) == 8
    history.truncate(6)
    history.append(frames(6, 2))
    after = history.identify(range(8))
    assert after[:6] == before[:6]
    assert after[6] not in before
    assert after != filled(8).identify(range(8))


def test_gather_beyond_the_end_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="latent frame 5 of 4"):
        filled(4).gather([5])
