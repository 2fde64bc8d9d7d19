from itertools import pairwise

import torch

from worldplay.model.scheduler import euler_step, sigmas, timesteps


def test_four_steps_with_shift_five() -> None:
    levels = sigmas(4, 5.0)
    torch.testing.assert_close(levels, torch.tensor([1, 0.9375, 0.8333333, 0.625, 0]))
    torch.testing.assert_close(timesteps(levels), torch.tensor([1000, 937.5, 833.3333, 625]))


def test_shift_one_is_linear() -> None:
    assert sigmas(4, 1.0).tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_euler_step_runs_in_float32() -> None:
    x = torch.tensor([1.0], dtype=torch.bfloat16)
    stepped = euler_step(x, torch.tensor([2.0], dtype=torch.bfloat16), 1.0, 0.999)
    assert stepped.dtype == torch.float32
    torch.testing.assert_close(stepped, torch.tensor([0.998]))


def test_straight_flow_ends_at_the_data_in_any_number_of_steps() -> None:
    noise, data = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    levels = sigmas(3, 5.0).tolist()
    x = noise
    for sigma, sigma_next in pairwise(levels):
        x = euler_step(x, noise - data, sigma, sigma_next)
    torch.testing.assert_close(x, data)
