"""Makes a clip and writes it to a file, fragment by fragment, so that it can be played while it grows."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue

from worldplay.clips.file import ChunkDone, ClipFile, Data, Failed, Finished, PassDone, Piece
from worldplay.clips.key_overlay import draw_keys
from worldplay.clips.plan import ClipPlan
from worldplay.engine.engine import Engine
from worldplay.world.world import World

OnPass = Callable[[int], None]  # called after every pass of the network with the number of frames written

_FAILURES = {
    "out_of_memory": "not enough memory for this clip: try a smaller --size, and see `worldplay doctor`",
    "internal": "the model failed; the log above says why",
}


@dataclass(frozen=True, slots=True)
class ClipReport:
    """How a clip was made."""

    chunks: list[ChunkDone]
    wall_s: float
    cpu_s: float

    def timings_ms(self) -> dict[str, float]:
        """Add up the times of all chunks, by stage."""
        totals: dict[str, float] = defaultdict(float)
        for chunk in self.chunks:
            for stage, time_ms in timings_of(chunk).items():
                totals[stage] += time_ms
        return dict(totals)


def timings_of(chunk: ChunkDone) -> dict[str, float]:
    """Return a chunk's times in ms, by stage."""
    return {**chunk.report.chunk.timings_ms, "decode": chunk.decode_ms, "encode": chunk.encode_ms}


def write_clip(world: World, plan: ClipPlan, out: Path, on_pass: OnPass, *, overlay: bool) -> ClipReport:
    """Make a clip and write it to a file. If this fails, the part already written can be played.

    Raises: OSError if the file or the model fails.
    """
    began, began_cpu = time.perf_counter(), time.process_time()
    chunks: list[ChunkDone] = []
    with out.open("wb", buffering=0) as file, _pieces(world, plan, overlay) as pieces:
        _write(pieces, file, chunks, on_pass)
    return ClipReport(chunks, time.perf_counter() - began, time.process_time() - began_cpu)


def count_passes(world: World, plan: ClipPlan) -> int:
    """Count the network's passes: one per step of each chunk, and in causal models one for its context."""
    steps = plan.request.walk.steps or world.rollout.config.steps
    num_cuts = sum(len(kept) for kept in plan.request.cuts or ())
    passes = (plan.request.num_chunks + num_cuts) * (steps + world.can_walk)
    return passes + steps * _count_relit(world, plan)


def _count_relit(world: World, plan: ClipPlan) -> int:
    """Count how often the walk's first chunk is generated again, in another light."""
    if not world.rollout.config.relights:
        return 0
    later = [text for _, text in sorted(plan.request.prompts.items())]
    looks = [world.conditioner.taken_as(text) or text for text in (plan.request.walk.prompt or "", *later)]
    return sum(old != new for old, new in pairwise(looks))


def _write(pieces: Iterator[Piece], file: FileIO, done: list[ChunkDone], on_pass: OnPass) -> None:
    """Write pieces as they come. `done` collects the chunks that are completely written."""
    for piece in pieces:
        match piece:
            case Data(data):
                _append(file, data, done)
            case PassDone():
                on_pass(_count_frames(done))
            case ChunkDone():
                done.append(piece)
            case Failed(code, message):
                raise OSError(f"{_FAILURES.get(code, message)}; {_describe_playable(file.name, done)}")


def _append(file: FileIO, data: bytes, done: list[ChunkDone]) -> None:
    try:
        while data:  # as the disk becomes full, a write may take only a part
            data = data[file.write(data) :]
    except OSError as error:
        raise OSError(
            f"cannot write {file.name}: {error.strerror}; {_describe_playable(file.name, done)}"
        ) from None


def _describe_playable(name: str, done: list[ChunkDone]) -> str:
    """Say how much of an unfinished file can be played."""
    if not done:
        return f"nothing of {name} can be played"
    return f"the first {_count_frames(done)} frames of {name} can be played"


def _count_frames(chunks: list[ChunkDone]) -> int:
    return sum(chunk.report.chunk.num_frames for chunk in chunks)


@contextmanager
def _pieces(world: World, plan: ClipPlan, overlay: bool) -> Iterator[Iterator[Piece]]:
    """Run an engine for one clip, and yield its pieces. Leaving the context stops it."""
    engine = Engine(world, max_sessions=1, max_queued=0)
    queue: SimpleQueue[Piece] = SimpleQueue()
    clip = ClipFile(world, queue.put, draw_keys if overlay else None)
    engine.start()
    try:
        clip.begin(engine, plan)
        yield _take(queue)
    finally:
        clip.close()
        engine.close()


def _take(queue: "SimpleQueue[Piece]") -> Iterator[Piece]:
    """Yield pieces as they come, up to the end or a failure."""
    while True:
        piece = queue.get()
        if isinstance(piece, Finished):
            return
        yield piece
        if isinstance(piece, Failed):
            return
