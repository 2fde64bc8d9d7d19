"""What rank 0 tells the others about latents that are kept: their numbers, and when they are released."""

from typing import NoReturn

import pytest
import torch

from worldplay.model.kept_context import KeptLatent
from worldplay.ranks.exchange import Exchange
from worldplay.ranks.follower import Follower
from worldplay.ranks.leader import Leader
from worldplay.ranks.orders import Call, Forget, KeptSpec, Order
from worldplay.ranks.waiting import Waiting


def fail(error: Exception) -> NoReturn:
    raise error


@pytest.fixture
def told() -> list[Order]:
    return []


@pytest.fixture
def leader(told: list[Order]) -> Leader:
    return Leader(2, "cpu", told.append, fail, Waiting())


def name(leader: Leader, *kept: KeptLatent) -> None:
    with leader.together("restore_context", list(kept)):
        pass


def test_a_kept_latent_has_one_number_until_it_is_released(leader: Leader, told: list[Order]) -> None:
    first, second, third = (KeptLatent() for _ in range(3))
    name(leader, first, second)
    del first
    name(leader, second, third)
    assert told == [
        Call("restore_context", (KeptSpec([0, 1]),)),
        Forget([0]),
        Call("restore_context", (KeptSpec([1, 2]),)),
    ]


def test_another_rank_keeps_what_has_a_number() -> None:
    follower = Follower((), Exchange(1, 2), torch.device("cpu"))
    seen: list[list[KeptLatent]] = []
    follower._calls["restore_context"] = seen.append
    for numbers in ([0, 1], [1, 2]):
        follower.carry_out(Call("restore_context", (KeptSpec(numbers),)))
    assert seen[0][1] is seen[1][0]
    follower.carry_out(Forget([0, 1, 2]))
    follower.carry_out(Call("restore_context", (KeptSpec([1]),)))
    assert seen[2][0] is not seen[1][0]
