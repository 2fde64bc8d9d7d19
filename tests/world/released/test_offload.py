"""Memory plans: what stays on the GPU when it gets tight."""

import pytest
import torch

from worldplay.world.released.offload import Demand, Lodging, Plan, Residence, plan_memory

DEMAND = Demand(always=50, caches=100, raw_caches=60, working=10, encoders=40, text_stream=20)


@pytest.mark.parametrize(
    ("budget", "raw", "encoders", "text_stream", "peak"),
    [
        (500, False, "RESIDENT", "RESIDENT", 220),
        (220, False, "RESIDENT", "RESIDENT", 220),
        (219, False, "SWAPPED", "RESIDENT", 210),
        (209, False, "SWAPPED", "SWAPPED", 190),
        (189, False, "HOST", "RESIDENT", 180),
        (179, False, "HOST", "SWAPPED", 170),
        (169, True, "SWAPPED", "SWAPPED", 150),
        (149, True, "HOST", "RESIDENT", 140),
        (139, True, "HOST", "SWAPPED", 130),
    ],
)
def test_cheapest_plan_that_fits(budget: int, raw: bool, encoders: str, text_stream: str, peak: int) -> None:
    expected = Plan(raw, Residence[encoders], Residence[text_stream], peak, fits=True)
    assert plan_memory(DEMAND, budget) == expected


def test_plan_that_does_not_fit_is_the_smallest() -> None:
    assert plan_memory(DEMAND, 129) == Plan(True, Residence.HOST, Residence.SWAPPED, 130, fits=False)


def test_swapped_tensors_are_back_after_a_failure() -> None:
    tensor = torch.ones(3)
    waiting = tensor.data_ptr()
    lodging = Lodging([tensor], torch.device("cpu"), Residence.SWAPPED)
    with pytest.raises(RuntimeError, match="out of memory"), lodging.in_use():
        raise RuntimeError("out of memory")
    assert (tensor.data_ptr(), tensor.tolist()) == (waiting, [1, 1, 1])


@pytest.mark.parametrize(("residence", "device"), [(Residence.RESIDENT, "meta"), (Residence.HOST, "cpu")])
def test_others_stay_where_they_are(residence: Residence, device: str) -> None:
    tensor = torch.ones(3)
    with Lodging([tensor], torch.device("meta"), residence).in_use() as place:
        assert place.type == device
        assert tensor.device.type == "cpu"
