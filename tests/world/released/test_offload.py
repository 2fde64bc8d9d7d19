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


def test_what_is_written_to_a_swapped_tensor_is_not_copied_back(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.ones(3)
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor.clone())  # as from another device
    with Offloaded([tensor], torch.device("cpu"), OffloadMode.SWAPPED).in_use():
        tensor += 1
        assert tensor.tolist() == [2, 2, 2]
    assert tensor.tolist() == [1, 1, 1]
