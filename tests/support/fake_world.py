"""A world that only takes time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from support.fake_chunks import make_chunk, only_motions
from worldplay.engine.ports import Frames
from worldplay.world.camera import Motion
from worldplay.world.chunk import Chunk, PendingChunk, Stage
from worldplay.world.frames import FPS
from worldplay.world.steering import Move, Steering, WalkRequest

if TYPE_CHECKING:  # only for its name: these tests run without torch
    from worldplay.world.snapshot import Snapshot, WalkedPath

PICTURE = np.zeros((4, 2, 2, 3), np.uint8)


class Passing(Protocol):
    """Time that passes when it is told to: on a FakeClock, or really."""

    def advance(self, time_ms: float) -> None: ...


@dataclass
class FakeWorld:
    """Costs in ms per stage; `log` has (stage, walk) in the order done; `hooks` run before a stage's cost."""

    clock: Passing
    context_ms: float = 40.0
    step_ms: float = 20.0
    decode_ms: float = 10.0
    open_ms: float = 0.0
    fps: float = FPS
    caches_by_walk: bool = field(init=False, default=False)
    cached: FakeWalk | None = field(init=False, default=None)  # in the cache: its newest chunk's context
    log: list[tuple[str, str | None]] = field(init=False, default_factory=list)
    hooks: dict[str, Callable[[], object]] = field(init=False, default_factory=dict)
    walks: list[FakeWalk] = field(init=False, default_factory=list)
    num_freed: int = field(init=False, default=0)

    def open_walk(self, request: WalkRequest) -> FakeWalk:
        if request.view == "nowhere":
            raise ValueError("unknown view 'nowhere'; expected one of court")
        self.spend("open", request.view, self.open_ms)
        self.walks.append(FakeWalk(self, request.view))
        return self.walks[-1]

    def free_memory(self) -> None:
        self.num_freed += 1

    def spend(self, stage: str, walk: str | None, time_ms: float) -> None:
        self.log.append((stage, walk))
        self.hooks.get(stage, lambda: None)()
        self.clock.advance(time_ms)

    def once(self, stage: str, action: Callable[[], object]) -> None:
        """Run an action before the next stage of this kind, and none after it."""

        def run() -> None:
            self.hooks.clear()
            action()

        self.hooks[stage] = run


class FakeWalk:
    def __init__(self, world: FakeWorld, name: str | None) -> None:
        self.world = world
        self.name = name
        self.chunks: list[list[Motion]] = []  # the motions of each
        self.prompt: str | None = None
        self.taken_as: str | None = None

    @property
    def num_chunks(self) -> int:
        return len(self.chunks)

    @property
    def holds_context(self) -> bool:
        return self.world.caches_by_walk or self.world.cached is self

    def begin_chunk(self, steering: Steering) -> PendingChunk:
        return PendingChunk(self.stages(steering))

    def stages(self, steering: Steering) -> Generator[Stage, None, Chunk]:
        yield "context"
        steering.predict(4)
        self.world.cached = None
        self.world.spend("context", self.name, self.world.context_ms)
        yield "step"
        motions = only_motions(steering.latch(4))
        self.world.hooks.get("latch", lambda: None)()
        for index in range(4):
            if index:
                yield "step"
            self.world.spend("step", self.name, self.world.step_ms)
        self.chunks.append(motions)
        self.world.cached = self
        timings_ms = {"context": self.world.context_ms, "denoise": 4 * self.world.step_ms}
        return make_chunk(len(self.chunks) - 1, motions, timings_ms)

    def begin_cut(self, kept: int, steering: Steering) -> PendingChunk:
        return PendingChunk(self.cut_stages(kept, steering))

    def cut_stages(self, kept: int, steering: Steering) -> Generator[Stage, None, Chunk]:
        """A cut denoises the whole chunk, whatever it keeps."""
        yield "context"
        steering.predict(4 - kept)
        if not self.holds_context:
            self.world.spend("context", self.name, self.world.context_ms)
        self.world.cached = self
        yield "step"
        motions = only_motions(steering.latch(4 - kept))
        for index in range(4):
            if index:
                yield "step"
            self.world.spend("cut", self.name, self.world.step_ms)
        self.chunks[-1] = self.chunks[-1][:kept] + motions
        timings_ms = {"context": 0.0, "denoise": 4 * self.world.step_ms}
        return make_chunk(len(self.chunks) - 1, self.chunks[-1], timings_ms, kept)

    def differs(self, kept: int, moves: Sequence[Move]) -> bool:
        return self.chunks[-1][kept:] != moves

    def decode(self, chunk: Chunk) -> Iterator[Frames]:
        counts = [4 if chunk.index else 1, 4, 4, 4]
        for count in counts[chunk.first_latent :]:
            self.world.spend("decode", self.name, self.world.decode_ms)
            yield PICTURE[:count]

    decode_for_encoder = decode

    def release(self) -> None:
        self.world.spend("release", self.name, 0)

    def prepare(self) -> None:
        self.world.spend("prepare", self.name, 0)

    def truncate(self, num_chunks: int) -> None:
        self.world.spend("truncate", self.name, 0)
        del self.chunks[num_chunks:]

    def set_prompt(self, text: str) -> None:
        self.world.spend("prompt", self.name, 0)
        self.prompt = text

    def snapshot(self) -> Snapshot:
        """A copy without content, from the chunk that was made last."""
        return cast("Snapshot", len(self.chunks))

    def take_unsaved(self) -> Snapshot:
        return self.snapshot()

    def path(self) -> WalkedPath:
        raise AssertionError("nobody records")

    def show_last(self) -> Chunk | None:
        return None

    def count_unsaved(self, first: int) -> None:
        self.world.spend("unsaved", self.name, 0)
