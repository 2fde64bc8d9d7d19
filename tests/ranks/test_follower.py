"""What a rank does with orders that it cannot carry out."""

from queue import SimpleQueue

import pytest
import torch

from worldplay.ranks.exchange import Exchange
from worldplay.ranks.follower import Follower, Orders, _carry_out, _ServingError
from worldplay.ranks.orders import Call, Load, Modules, Order


def raise_value_error(*_: object) -> Modules:
    raise ValueError("a bad shape")


def carry_out(order: Order) -> None:
    orders: Orders = SimpleQueue()
    orders.put(order)
    _carry_out(orders, Exchange(1, 2), torch.device("cpu"))


def test_networks_that_cannot_be_loaded_are_for_the_operator() -> None:
    with pytest.raises(ValueError, match=r"^a bad shape$"):
        carry_out(Load(raise_value_error))


def test_error_while_serving_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Follower, "carry_out", raise_value_error)
    with pytest.raises(_ServingError) as raised:
        carry_out(Call("denoise", ()))
    assert raised.value.failure.code == 1
    assert raised.value.failure.reason == "failed: ValueError: a bad shape"
