"""A server that fails on request.

What the file named by FAULT_FILE says happens once; then the file is removed. It holds a stage and what
happens there. Stages are open, context, step, decode, encode, prompt, picture and clock. What happens is the
name of an exception, `hang`, or how many seconds the clock jumps. Only walks with the seed VICTIM_SEED fail.

While there is a file named by DISK_FILE, nothing can be written to the disk. It holds the name of the error,
or `hang`: then writing does not return.

At SIGUSR1 it writes the numbers of its event loop's tasks and threads to the file named by TASKS_FILE.
"""

import asyncio
import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fault_bench import VICTIM_SEED
from worldplay.cli import main

FAULT_FILE = Path(os.environ.get("FAULT_FILE", "no-fault"))
DISK_FILE = Path(os.environ.get("DISK_FILE", "no-fault"))
TASKS_FILE = Path(os.environ.get("TASKS_FILE", "no-tasks"))
ERRORS: dict[str, type[Exception]] = {"RuntimeError": RuntimeError, "MemoryError": MemoryError}
victims: dict[int, Any] = {}  # walks by id


def take_fault(stage: str) -> str | None:
    """Return what should happen at this stage, at most once."""
    if not FAULT_FILE.is_file():
        return None
    wanted, _, what = FAULT_FILE.read_text().strip().partition(" ")
    if wanted != stage:
        return None
    FAULT_FILE.unlink()
    return what


def find_disk_error() -> OSError | None:
    """Return the error that writing to the disk has now. If the disk hangs, wait until it answers."""
    while DISK_FILE.is_file() and DISK_FILE.read_text() == "hang":
        time.sleep(0.05)
    if not DISK_FILE.is_file():
        return None
    number: int = getattr(errno, DISK_FILE.read_text())
    return OSError(number, os.strerror(number))


def break_writes(holder: Any, name: str) -> None:
    """Let a function that writes to the disk fail while the disk does."""
    original = getattr(holder, name)

    def write(*args: Any, **kwargs: Any) -> Any:
        error = find_disk_error()
        if error is not None:
            raise error
        return original(*args, **kwargs)

    setattr(holder, name, write)


def fail_at(stage: str) -> None:
    what = take_fault(stage)
    if what == "hang":
        time.sleep(3600)
    elif what is not None:
        raise ERRORS[what](f"a fault at {stage}")


def break_method(cls: type, name: str, stage_of: Callable[..., str | None]) -> None:
    """Fail in a method before it does anything, at the stage that a function finds; None: not this call."""
    original = cls.__dict__[name]

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        stage = stage_of(self, *args)
        if stage is not None:
            fail_at(stage)
        return original(self, *args, **kwargs)

    setattr(cls, name, method)


def is_victim(walk: object) -> bool:
    return id(walk) in victims


def break_everything() -> None:
    """Patch the engine, the encoder and the decoder of pictures."""
    from worldplay.engine.chunk_run import ChunkRun
    from worldplay.model.vae import StreamingVAE
    from worldplay.web import receiver
    from worldplay.web.listener import SessionListener
    from worldplay.world.live_walk import LiveWalk
    from worldplay.world.world import World

    mark_victims(World)
    break_method(World, "open_walk", lambda world, request: "open" if request.seed == VICTIM_SEED else None)
    break_method(ChunkRun, "advance", lambda run: run.next_stage if is_victim(run.session.walk) else None)
    for decode in ("decode_latent", "decode_planes"):
        break_method(StreamingVAE, decode, decode_stage)
    break_method(LiveWalk, "set_prompt", lambda walk, text: "prompt" if is_victim(walk) else None)
    break_method(SessionListener, "_encode", encode_stage)
    break_method(receiver.Receiver, "_read_picture", lambda *args: "picture")
    break_disk()
    threading.Thread(target=let_clock_jump, daemon=True).start()


def break_disk() -> None:
    """Patch all that writes snapshots and recordings."""
    from fsspec.implementations.local import LocalFileSystem

    break_writes(os, "pwrite")
    break_writes(Path, "write_bytes")
    break_writes(LocalFileSystem, "pipe_file")


def decode_stage(vae: object, latent: object, state: object) -> str | None:
    return "decode" if any(walk._decoder_state is state for walk in list(victims.values())) else None


def encode_stage(listener: Any, *args: object) -> str | None:
    return "encode" if is_victim(listener.session.walk) else None


def mark_victims(world: type) -> None:
    original = world.__dict__["open_walk"]

    def open_walk(self: Any, request: Any) -> Any:
        walk = original(self, request)
        if request.seed == VICTIM_SEED:
            victims[id(walk)] = walk
        else:
            victims.pop(id(walk), None)
        return walk

    type.__setattr__(world, "open_walk", open_walk)


def let_clock_jump() -> None:
    real = time.time
    while True:
        time.sleep(0.1)
        jump = take_fault("clock")
        if jump is not None:
            time.time = partial(shifted, real, float(jump))


def shifted(clock: Callable[[], float], seconds: float) -> float:
    return clock() + seconds


def tell_tasks(*_: object) -> None:
    """Write the numbers of tasks and of their threads. In the main thread, while its event loop runs."""
    num_threads = sum(thread.name.startswith("asyncio_") for thread in threading.enumerate())
    unfinished = TASKS_FILE.with_suffix(".new")
    unfinished.write_text(f"{len(asyncio.all_tasks())} {num_threads}")
    unfinished.rename(TASKS_FILE)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell_tasks)
    break_everything()
    main()
