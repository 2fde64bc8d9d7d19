"""Rank 0: tells the other ranks what to do, and does it with them."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from threading import Lock
from typing import NoReturn
from weakref import finalize

import torch
import torch.distributed as dist
from torch import Tensor

from worldplay.model.kept_context import KeptLatent
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.prope import Cameras
from worldplay.model.vae_stream import FeatureCache
from worldplay.ranks.exchange import Exchange
from worldplay.ranks.group import meet
from worldplay.ranks.orders import (
    CacheSpec,
    Call,
    CamerasSpec,
    Forget,
    KeptSpec,
    Load,
    MakeCache,
    MakeModules,
    Order,
    StateSpec,
    TakeText,
    TensorSpec,
    describe,
)
from worldplay.ranks.waiting import LOADING_S, DeviceWork, Waiting


class Leader(Exchange):
    """Rank 0. Texts, caches, kept latents and decoder states have numbers, by which all ranks know theirs.

    An order is carried out by all ranks before the next one is given, whatever thread gives it.
    """

    def __init__(
        self,
        size: int,
        kind: str,
        tell: Callable[[Order], None],
        fail: Callable[[Exception], NoReturn],
        waiting: Waiting,
    ) -> None:
        """Lead so many ranks.

        Args:
            kind: 'cpu' or 'cuda'.
            tell: gives an order to the other ranks.
            fail: ends all of them: they wait for each other.
            waiting: notes what is waited for.
        """
        super().__init__(0, size)
        self.waiting = waiting
        self._kind = kind
        self._device_work: DeviceWork | None = None
        if kind == "cuda":  # it computes what was launched when the call has long returned
            make_event = partial(torch.cuda.Event, blocking=True)  # waiting for it takes no core
            self._device_work = DeviceWork(waiting, make_event)
        self._tell_all = tell
        self._fail = fail
        self._lock = Lock()
        self._next_number = count()
        self._numbers: dict[int, int] = {}  # by the id of an object that exists
        self._released: deque[int] = deque()  # appended to by any thread
        self._cameras: Cameras | None = None  # the latest that were sent
        self._others_load = False

    def load(self, make: MakeModules) -> None:
        """Let the other ranks make their networks."""
        with self._guard():
            self._wait_for_loading()
            self._tell(Load(make))
            self._others_load = True

    def _wait_for_loading(self) -> None:
        if self._others_load:
            with self.waiting.during(LOADING_S):
                meet(self._kind)
            self._others_load = False

    @contextmanager
    def together(self, call: str, *arguments: object) -> Iterator[None]:
        with self._guard():
            self._wait_for_loading()
            tensors: list[Tensor] = []
            self._tell(Call(call, tuple(self._describe(argument, tensors) for argument in arguments)))
            for tensor in tensors:
                self._send(tensor.contiguous())
            yield

    def share_text(self, text: TextKV) -> TextKV:
        own = TextKV([], [])
        with self._guard():
            self._wait_for_loading()
            spec = TensorSpec((2, *text.keys[0].shape), text.keys[0].dtype)
            self._tell(TakeText(self._number(own), len(text.keys), spec))
            for pair in zip(text.keys, text.values, strict=True):
                keys_values = torch.stack(pair)
                self._send(keys_values)
                self.take_text(own, keys_values)
        return own

    def share_cache(self, cache: KVCache, arguments: tuple[tuple[int, int], int, int, bool]) -> KVCache:
        with self._guard():
            self._tell(MakeCache(self._number(cache), arguments))
        return cache

    def share_state(self, state: FeatureCache) -> FeatureCache:
        self._number(state)
        return state

    def _send(self, tensor: Tensor) -> None:
        with self.waiting.during():
            dist.broadcast(tensor, 0)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
                if self._device_work is not None:
                    self._device_work.note()
            except Exception as error:  # noqa: BLE001  # the other ranks may be waiting in an exchange
                self._fail(error)

    def _tell(self, order: Order) -> None:
        if self._released:
            self._tell_all(Forget([self._released.popleft() for _ in range(len(self._released))]))
        self._tell_all(order)

    def _describe(self, argument: object, tensors: list[Tensor]) -> object:
        match argument:
            case Tensor():
                tensors.append(argument)
                return describe(argument)
            case Cameras():
                if argument is self._cameras:
                    return CamerasSpec(None)
                self._cameras = argument
                tensors.extend(argument.parts())
                return CamerasSpec(tuple(map(describe, argument.parts())))
            case KVCache():
                text = None if argument.text is None else self._numbers[id(argument.text)]
                return CacheSpec(self._numbers[id(argument)], text, argument.num_context)
            case FeatureCache():
                return StateSpec(self._numbers[id(argument)])
            case [KeptLatent(), *_]:
                return KeptSpec([self._find_number(latent) for latent in argument])
        return argument

    def _find_number(self, shared: object) -> int:
        """Return an object's number, which may be a new one."""
        known = self._numbers.get(id(shared))
        return self._number(shared) if known is None else known

    def _number(self, shared: object) -> int:
        """Give an object a number until it is released."""
        number = self._numbers[id(shared)] = next(self._next_number)
        finalize(shared, self._release, id(shared)).atexit = False
        return number

    def _release(self, identity: int) -> None:
        self._released.append(self._numbers.pop(identity))
