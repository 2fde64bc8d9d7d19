"""What a rank does with orders that it cannot carry out."""

from multiprocessing import Pipe
from queue import SimpleQueue

import pytest
import torch

from support.tiny import TINY
from worldplay.model.compiling import MOST_GRAPHS
from worldplay.model.regions import EAGER
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.ranks.exchange import Exchange
from worldplay.ranks.failure import STUCK
from worldplay.ranks.follower import Follower, Orders, _carry_out, _ServingError, _tell_rank_0
from worldplay.ranks.orders import Call, Load, Modules, Order

CPU = torch.device("cpu")


def raise_value_error(*_: object) -> Modules:
    raise ValueError("a bad shape")


def carry_out(order: Order) -> None:
    orders: Orders = SimpleQueue()
    orders.put(order)
    _carry_out(orders, Exchange(1, 2), CPU)


def test_networks_that_cannot_be_loaded_are_for_the_operator() -> None:
    with pytest.raises(ValueError, match=r"^a bad shape$"):
        carry_out(Load(raise_value_error))


def test_error_while_serving_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Follower, "carry_out", raise_value_error)
    with pytest.raises(_ServingError) as raised:
        carry_out(Call("denoise", ()))
    assert raised.value.failure.code == 1
    assert raised.value.failure.reason == "failed: ValueError: a bad shape"


def test_rank_that_fails_after_rank_0_has_ended_says_nothing() -> None:
    ours, theirs = Pipe()
    ours.close()
    _tell_rank_0(theirs, STUCK)


def test_blocks_are_compiled_for_as_many_shapes_as_on_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    stances: list[str] = []
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 8)
    monkeypatch.setattr(torch.compiler, "set_stance", stances.append)
    transformer = WorldPlayTransformer(TINY)
    follower = Follower((transformer,), Exchange(1, 2), CPU)
    follower.carry_out(Call("compile_blocks", ("eager",)))
    assert all(block.regions is not EAGER for block in transformer.blocks)
    assert (torch._dynamo.config.recompile_limit, stances) == (MOST_GRAPHS, [])
    follower.carry_out(Call("stop_compiling", ()))
    assert stances == ["eager_on_recompile"]
