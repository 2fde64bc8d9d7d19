"""Parts that are moved to the device while they are used."""

import pytest
import torch

from worldplay.world.released.offload import Offloaded
from worldplay.world.released.offload_plan import OffloadMode


def test_swapped_tensors_are_back_after_a_failure() -> None:
    tensor = torch.ones(3)
    waiting = tensor.data_ptr()
    part = Offloaded([tensor], torch.device("cpu"), OffloadMode.SWAPPED)
    with pytest.raises(RuntimeError, match="out of memory"), part.in_use():
        raise RuntimeError("out of memory")
    assert (tensor.data_ptr(), tensor.tolist()) == (waiting, [1, 1, 1])


@pytest.mark.parametrize(("mode", "device"), [(OffloadMode.ON_DEVICE, "meta"), (OffloadMode.ON_CPU, "cpu")])
def test_others_stay_where_they_are(mode: OffloadMode, device: str) -> None:
    tensor = torch.ones(3)
    with Offloaded([tensor], torch.device("meta"), mode).in_use() as place:
        assert place.type == device
        assert tensor.device.type == "cpu"
