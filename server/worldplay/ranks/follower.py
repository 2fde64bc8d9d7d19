"""The other ranks: each is a process that carries out rank 0's orders until rank 0 ends."""

import ctypes
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import sleep
from typing import TypeAlias

import torch
import torch.distributed as dist
from torch import Tensor

from worldplay.model.compiling import compile_blocks, stop_compiling
from worldplay.model.kept_context import KeptLatent, encode_between, restore_context
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.prope import Cameras
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.model.vae_stream import FeatureCache
from worldplay.ranks.exchange import Exchange
from worldplay.ranks.failure import Failure, describe_failure
from worldplay.ranks.group import join_group, meet, take_device
from worldplay.ranks.orders import (
    CacheSpec,
    Call,
    CamerasSpec,
    Forget,
    KeptSpec,
    Load,
    MakeCache,
    Modules,
    Order,
    StateSpec,
    TakeText,
    TensorSpec,
)

Orders: TypeAlias = "SimpleQueue[Order | Exception]"

_PR_SET_PDEATHSIG = 1  # of Linux's prctl
SENT_TO_ALL = (signal.SIGINT, signal.SIGTERM)  # by terminals and service managers
CONSEQUENCE_S = 3.0  # if a rank ends, the others fail, too; they wait, so that the first one is named


def follow(connection: Connection, rank: int, size: int, kind: str, meeting: str) -> None:
    """Run a rank, in a process of its own.

    Args:
        connection: brings orders, and takes the reason of a failure. When it ends, rank 0 has ended.
        kind: 'cpu' or 'cuda'.
        meeting: as in `join_group`.
    """
    for sent_to_all in SENT_TO_ALL:  # rank 0 decides what they mean, and has blocked them until now
        signal.signal(sent_to_all, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SENT_TO_ALL)
    logging.getLogger("worldplay").addHandler(logging.NullHandler())  # rank 0 logs the same
    _continue_when_parent_ends()
    orders: Orders = SimpleQueue()
    Thread(target=_receive, args=(connection, orders, meeting), daemon=True).start()
    try:
        device = take_device(kind, rank)
        join_group(kind, rank, size, meeting)
        _carry_out(orders, Exchange(rank, size), device)
    except Exception as error:  # noqa: BLE001  # the top of the process
        failure = error.failure if isinstance(error, _ServingError) else describe_failure(error)
        if failure.may_be_a_consequence:
            sleep(CONSEQUENCE_S)
        _tell_rank_0(connection, failure)
        os._exit(1)


def _tell_rank_0(connection: Connection, failure: Failure) -> None:
    """Tell rank 0 why this rank ends, if rank 0 is still there: that it has ended may be the reason."""
    with suppress(ConnectionError):
        connection.send(failure)


class _ServingError(Exception):
    """An order that could not be carried out, after the networks were loaded."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def _continue_when_parent_ends() -> None:
    """Ask Linux for that: a stopped process would not notice that its pipe has ended, and stay for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def _receive(connection: Connection, orders: Orders, meeting: str) -> None:
    """Pass orders on. The process ends when rank 0 does, even in the middle of an exchange."""
    while True:
        try:
            orders.put(connection.recv())
        except (EOFError, ConnectionError):
            shutil.rmtree(Path(meeting).parent, ignore_errors=True)  # rank 0 may have been killed
            os._exit(0)
        except Exception as error:  # noqa: BLE001  # an order that this process cannot read
            orders.put(error)


def _carry_out(orders: Orders, exchange: Exchange, device: torch.device) -> None:
    follower = Follower((), exchange, device)
    while True:
        order = orders.get()
        if isinstance(order, Exception):
            raise order
        if isinstance(order, Load):
            del follower  # release its memory first
            follower = Follower(order.make(device), exchange, device)
            meet(device.type)  # rank 0 waits longer until then
            continue
        try:
            follower.carry_out(order)
        except Exception as error:  # what it is follows from when it happens
            raise _ServingError(describe_failure(error, serves=True)) from error


class Follower:
    """A rank's networks, and what rank 0 has given a number."""

    def __init__(self, modules: Modules, exchange: Exchange, device: torch.device) -> None:
        self._exchange = exchange
        self._device = device
        self._calls: dict[str, Callable[..., object]] = {}
        self._transformer: WorldPlayTransformer | None = None
        self._texts: dict[int, TextKV] = {}
        self._caches: dict[int, KVCache] = {}
        self._states: dict[int, FeatureCache] = {}
        self._kept: dict[int, KeptLatent] = {}
        self._cameras: Cameras | None = None
        for module in modules:
            module.use_ranks(exchange)
            self._add(module)

    @torch.inference_mode()
    def carry_out(self, order: Call | MakeCache | TakeText | Forget) -> None:
        match order:
            case Call(name, arguments):
                self._calls[name](*map(self._take, arguments))
            case MakeCache(number, arguments):
                self._caches[number] = self._make_cache(*arguments)
            case TakeText(number, blocks, spec):
                text = self._texts[number] = TextKV([], [])
                for _ in range(blocks):
                    self._exchange.take_text(text, self._take_tensor(spec))
            case Forget(numbers):
                self._forget(numbers)

    def _forget(self, numbers: list[int]) -> None:
        for number in numbers:
            self._texts.pop(number, None)
            self._caches.pop(number, None)
            self._states.pop(number, None)
            self._kept.pop(number, None)

    def _add(self, module: WorldPlayTransformer | StreamingVAE) -> None:
        if isinstance(module, StreamingVAE):
            self._calls |= {"decode_raw": module.decode_raw, "catch_up": module.catch_up}
            return
        self._transformer = module
        self._calls |= {
            "extend_context": module.extend_context,
            "encode_between": partial(encode_between, module),
            "restore_context": partial(restore_context, module),
            "denoise": module.denoise,
            "use_attention": module.use_attention,
            "round_weights": module.round_weights,
            "compile_blocks": partial(compile_blocks, module),
            "stop_compiling": partial(stop_compiling, module),
        }

    def _make_cache(self, grid: tuple[int, int], max_text: int, max_context: int, unrotated: bool) -> KVCache:
        assert self._transformer is not None, "a cache without a transformer"
        return self._transformer.new_cache(grid, max_text, max_context, unrotated=unrotated)

    def _take(self, argument: object) -> object:
        """Turn the description of an argument into the argument."""
        match argument:
            case TensorSpec():
                return self._take_tensor(argument)
            case CamerasSpec(parts):
                if parts is not None:
                    self._cameras = Cameras(*map(self._take_tensor, parts))
                return self._cameras
            case CacheSpec(number, text, num_context):
                cache = self._caches[number]
                if text is not None and cache.text is not self._texts[text]:
                    cache.set_text(self._texts[text])
                cache.truncate_context(num_context)
                return cache
            case StateSpec(number):
                return self._states.setdefault(number, FeatureCache())
            case KeptSpec(numbers):
                return [self._kept.setdefault(number, KeptLatent()) for number in numbers]
        return argument

    def _take_tensor(self, spec: TensorSpec) -> Tensor:
        tensor = torch.empty(spec.shape, dtype=spec.dtype, device=self._device)
        dist.broadcast(tensor, 0)
        return tensor
