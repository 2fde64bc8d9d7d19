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
