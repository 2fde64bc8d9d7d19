"""How the start image reaches the network."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from support.paths import GOLDENS
from worldplay.model.conditioning import condition_channels

GOLDEN = load_file(GOLDENS / "cond.safetensors")


@pytest.mark.parametrize(("task", "first"), [("i2v", True), ("t2v", False)])
def test_condition_matches_golden(task: str, first: bool) -> None:
    latent = torch.from_numpy(GOLDEN["in.image_latent"])
    condition = condition_channels(latent, 8, first=first).numpy()
    np.testing.assert_array_equal(condition, GOLDEN[f"out.cond_{task}"])
    np.testing.assert_array_equal(condition[0, -1, :, 0, 0], GOLDEN[f"out.task_mask_{task}"])


@pytest.mark.parametrize("first", [True, False])
def test_image_is_in_the_first_latent_of_a_walk_alone(first: bool) -> None:
    image_latent = torch.full((1, 3, 1, 2, 2), 7.0)
    condition = condition_channels(image_latent, 4, first=first)
    assert condition.shape == (1, 4, 4, 2, 2)
    assert condition[0, :, :, 0, 0].tolist() == [[7.0 * first, 0, 0, 0]] * 3 + [[1.0 * first, 0, 0, 0]]
