"""Where a model computes."""

import pytest
import torch

from worldplay.world.device import choose_device


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "mps"])
def test_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match=f"got '{name}'"):
        choose_device(name)


def test_device_of_this_machine() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")
