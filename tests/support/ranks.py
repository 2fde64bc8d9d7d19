"""Ranks on this CPU that are started once, for all cases of a module."""

import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import torch

from support.forked import forking
from worldplay.model.kv_cache import TextKV
from worldplay.model.ranks import Ranks
from worldplay.model.transformer import WorldPlayTransformer
from worldplay.model.vae import StreamingVAE
from worldplay.ranks.leader import Leader
from worldplay.ranks.orders import Modules
from worldplay.ranks.team import lead

Module = WorldPlayTransformer | StreamingVAE


def make_nothing(device: torch.device) -> Modules:
    return ()


def run_out_of_memory(device: torch.device) -> Modules:
    raise MemoryError


def stop(device: torch.device) -> Modules:
    os.kill(os.getpid(), signal.SIGSTOP)
    return ()


def unpack(content: bytes, device: torch.device) -> Modules:
    modules: Modules = torch.load(io.BytesIO(content), weights_only=False)
    for module in modules:
        module.to(device)
    return modules


def exchange_for_ever(kind: str) -> None:
    """Lead two ranks that exchange all the time. Writes the other one's process id when that has begun."""
    with lead(2, kind, make_nothing) as leader:
        keys = [torch.zeros(1, 2, 4096, 64, device=kind)]
        leader.share_text(TextKV(keys, keys))
        (other,) = multiprocessing.active_children()
        sys.stdout.write(f"{other.pid}\n")
        sys.stdout.flush()
        while True:
            leader.share_text(TextKV(keys, keys)).keys[0].sum().item()


def share(ranks: Ranks, *modules: Module) -> None:
    """Let the ranks compute networks that were made here."""
    if isinstance(ranks, Leader):
        content = io.BytesIO()
        torch.save(modules, content)
        ranks.load(partial(unpack, content.getvalue()))
    for module in modules:
        module.use_ranks(ranks)


@contextmanager
def ranks_on_this_cpu(size: int) -> Iterator[Leader]:
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        with forking():
            leader = stack.enter_context(lead(size, "cpu", make_nothing))
        yield leader
    torch.set_num_threads(threads)
