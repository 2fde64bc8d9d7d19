from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from training.vae_stage import EMBEDDED_VAE
from training.vae_streams import (
    StreamPlan,
    Videos,
    draw_pieces,
    frames_to_pixels,
    load_held_out,
    psnr,
    reconstruct,
)
from worldplay.model.vae import StreamingVAE
from worldplay.world.pixels import pixels_to_frames

PLAN = StreamPlan(num_streams=2, frames_per_piece=8, longest=4, height=16, width=32)


CPU = torch.device("cpu")


def save_walk(folder: Path, seed: int, num_frames: int) -> None:
    """Frame t is all t."""
    frames = np.broadcast_to(
        np.arange(num_frames, dtype=np.uint8)[:, None, None, None], (num_frames, 32, 32, 3)
    )
    np.save(folder / f"{seed}.npy", frames)


def test_pieces_follow_each_other_within_a_stream(tmp_path: Path) -> None:
    save_walk(tmp_path, 0, 60)
    pieces = list(islice(draw_pieces(Videos(tmp_path, CPU), 1, PLAN), 12))
    assert pieces[0].starts
    assert tuple(pieces[0].pixels.shape) == (2, 3, 9, 16, 32)
    for before, after in pairwise(pieces):
        assert after.pixels.shape[2] == (9 if after.starts else 8)
        if not after.starts:
            step = after.pixels[:, :, 0] - before.pixels[:, :, -1]
            torch.testing.assert_close(step, torch.full_like(step, 1 / 127.5))


def test_held_out_walks_are_not_trained_on(tmp_path: Path) -> None:
    save_walk(tmp_path, 1_000_000, 60)
    with pytest.raises(ValueError, match="expected rendered walks"):
        next(draw_pieces(Videos(tmp_path, CPU), 0, PLAN))
    assert [len(walk) for walk in load_held_out(tmp_path, 1, 13)] == [13]


def test_pixels_span_minus_one_to_one_and_are_frames_again() -> None:
    frames = np.arange(256, dtype=np.uint8).reshape(1, 2, 8, 16, 1).repeat(3, axis=4)
    pixels = frames_to_pixels(frames)
    assert tuple(pixels.shape) == (1, 3, 2, 8, 16)
    assert (pixels.min().item(), pixels.max().item()) == (-1, 1)
    assert np.array_equal(pixels_to_frames(pixels), frames)


def test_psnr_of_an_error_of_a_fifth_is_14_db() -> None:
    black = np.zeros((2, 4, 4, 3), np.uint8)
    grey = black + np.array([51, 0], np.uint8).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(psnr(grey, black), [13.9794, 120.0], atol=1e-4)


def test_reconstruction_has_every_frame() -> None:
    frames = np.zeros((9, 64, 64, 3), np.uint8)
    decoded, latents = reconstruct(StreamingVAE(EMBEDDED_VAE), frames)
    assert decoded.shape == (9, 64, 64, 3)
    assert decoded.dtype == np.uint8
    assert tuple(latents.shape) == (1, 32, 3, 2, 2)
