"""Frames are sharpened: edges get steep, and nothing else changes."""

import torch
import torch.nn.functional as F
from torch import Tensor

from worldplay.model import shock_filter
from worldplay.model.shock_filter import sharpen

LEVEL = 1 / 127.5


def blurred_step(angle: float) -> Tensor:
    """Return a frame of two colours with a soft edge between them: [1, 3, 1, 40, 48]."""
    rows, columns = torch.meshgrid(torch.arange(40.0) - 20, torch.arange(48.0) - 24, indexing="ij")
    turn = torch.tensor(angle)
    side = torch.tanh((columns * turn.cos() + rows * turn.sin()) / 3)
    return torch.stack([0.7 * side, 0.5 * side, 0.1 - 0.2 * side])[None, :, None]


def steepness(frame: Tensor) -> float:
    rows, columns = frame.diff(dim=-2), frame.diff(dim=-1)
    return float(rows.square().mean() + columns.square().mean())


def test_soft_edges_of_any_direction_get_steep_without_overshoot() -> None:
    for angle in (0.0, 0.5, 0.9, 1.57, 2.5):
        soft = blurred_step(angle)
        sharp = sharpen(soft)
        assert steepness(sharp) > 1.6 * steepness(soft), angle
        assert sharp.amax() <= soft.amax() + LEVEL / 2, angle
        assert sharp.amin() >= soft.amin() - LEVEL / 2, angle
        # The middle of the edge stays where it was.
        assert F.l1_loss(sharp, soft) < 0.06, angle


def test_flat_pictures_and_slow_changes_stay() -> None:
    flat = torch.tensor([0.3, -0.7, 1.0]).view(1, 3, 1, 1, 1).expand(1, 3, 2, 16, 16)
    torch.testing.assert_close(sharpen(flat), flat, rtol=0, atol=1e-5)
    slow = torch.linspace(-0.5, 0.5, 64).expand(1, 3, 1, 32, 64)
    torch.testing.assert_close(sharpen(slow), slow, rtol=0, atol=LEVEL)


def test_only_the_brightness_changes() -> None:
    frame = blurred_step(0.7)
    red, green, blue = (sharpen(frame) - frame).unbind(1)
    torch.testing.assert_close(red, green, rtol=0, atol=1e-5)
    torch.testing.assert_close(red, blue, rtol=0, atol=1e-5)
    assert red.abs().amax() > 10 * LEVEL


def test_each_frame_is_sharpened_by_itself() -> None:
    frames = torch.cat([blurred_step(0.3), blurred_step(1.2)], dim=2)
    apart = [sharpen(frame) for frame in frames.split(1, dim=2)]
    assert torch.equal(sharpen(frames), torch.cat(apart, dim=2))


def test_layout_of_the_frames_does_not_matter() -> None:
    frames = torch.cat([blurred_step(0.3), blurred_step(1.2)], dim=2)
    innermost = frames.movedim(2, -1).contiguous().movedim(-1, 2)
    assert torch.equal(sharpen(innermost), sharpen(frames))
    luma = 127 * frames[:, 0]
    together = shock_filter._sharpen(luma.movedim(1, -1).contiguous().movedim(-1, 1))
    apart = [shock_filter._sharpen(each) for each in luma.split(1, dim=1)]
    assert torch.equal(together, torch.cat(apart, dim=1))


def test_mirrored_pictures_give_mirrored_results() -> None:
    frame = blurred_step(0.7)
    for dims in ([-1], [-2]):
        torch.testing.assert_close(sharpen(frame.flip(dims)), sharpen(frame).flip(dims), rtol=0, atol=LEVEL)


def test_lower_precision_gives_float32_and_leaves_the_input() -> None:
    frame = blurred_step(0.7).bfloat16()
    before = frame.clone()
    assert sharpen(frame).dtype == torch.float32
    assert torch.equal(frame, before)
