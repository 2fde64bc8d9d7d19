"""Latents between generation and decoding: chunks that are cut before anything of them is shown."""

from support.fake_chunks import make_chunk
from support.fake_world import FakeWalk, FakeWorld
from support.fakes import FakeClock, Recorder
from worldplay.engine.controls import Latch
from worldplay.engine.decode_queue import DecodeQueue
from worldplay.engine.pacing import Costs
from worldplay.engine.ports import ChunkReport
from worldplay.engine.session import Session
from worldplay.engine.stats import Counters
from worldplay.world.camera import Motion
from worldplay.world.frames import FPS

AHEAD, STILL = Motion(forward=0.1), Motion()
TIMES_MS = {"context": 20.0, "denoise": 40.0}


class Queue:
    """A session's queue, and what its client hears."""

    def __init__(self) -> None:
        self.clock, self.listener = FakeClock(), Recorder()
        self.counters, self.costs = Counters(), Costs()
        session = self.listener.session = Session(1, self.listener, self.clock, lambda: None)
        self.queue = DecodeQueue(session, FPS, self.clock, self.costs, self.counters)
        self.walk = FakeWalk(FakeWorld(self.clock, decode_ms=10), "walk")

    def add(self, seq: int, motions: list[Motion], kept: int = 0) -> None:
        chunk = make_chunk(5, motions, TIMES_MS, kept)
        self.queue.add(ChunkReport(chunk, Latch(seq, self.clock())), self.walk)

    def decode(self, count: int) -> None:
        for _ in range(count):
            self.queue.decode_next()

    @property
    def heard(self) -> list[tuple[int | None, int, int, list[Motion]]]:
        """The seq, revision, first latent and motions of each report."""
        return [
            (report.latch.seq, report.revision, report.chunk.first_latent, report.chunk.motions)
            for report in self.listener.reports
        ]


def test_chunk_cut_as_a_whole_before_it_was_shown_is_announced_once_as_it_is_now() -> None:
    queue = Queue()
    queue.add(1, [STILL] * 4)
    queue.add(2, [AHEAD] * 4)
    queue.decode(4)
    assert queue.heard == [(2, 0, 0, [AHEAD] * 4)]
    assert queue.listener.num_frames == 16
    assert queue.counters.latents_thrown_away == 4


def test_chunk_cut_as_a_whole_is_one_chunk_though_it_was_made_twice() -> None:
    queue = Queue()
    queue.add(1, [STILL] * 4)
    queue.add(2, [AHEAD] * 4)
    queue.decode(4)
    assert queue.counters.chunks == 1
    assert queue.counters.stage_ms == {"context": 40.0, "denoise": 80.0, "decode": 40.0}
    assert queue.counters.chunk_median_ms == 100.0


def test_chunk_cut_in_the_middle_before_it_was_shown_is_announced_with_what_it_was_made_of() -> None:
    """The latents before the cut depend on what was planned after it, so a recorded walk needs that too."""
    queue = Queue()
    queue.add(1, [STILL] * 4)
    queue.add(2, [STILL, STILL, AHEAD, AHEAD], kept=2)
    queue.decode(4)
    assert queue.heard == [(1, 0, 0, [STILL] * 4), (2, 1, 2, [STILL, STILL, AHEAD, AHEAD])]
    assert queue.counters.latents_thrown_away == 2
    assert queue.counters.chunks == 1


def test_cut_that_is_cut_again_before_it_was_shown_is_never_announced() -> None:
    queue = Queue()
    queue.add(1, [STILL] * 4)
    queue.decode(2)
    queue.add(2, [STILL, STILL, AHEAD, AHEAD], kept=2)
    queue.add(3, [STILL] * 4, kept=2)
    queue.decode(2)
    assert queue.heard == [(1, 0, 0, [STILL] * 4), (3, 1, 2, [STILL] * 4)]
    assert queue.counters.latents_thrown_away == 4
    assert queue.counters.chunks == 1
    assert queue.listener.num_frames == 16


def test_time_of_latents_that_are_forgotten_is_counted() -> None:
    queue = Queue()
    queue.add(1, [STILL] * 4)
    queue.decode(1)
    queue.queue.clear()
    assert queue.counters.stage_ms == {"context": 20.0, "denoise": 40.0, "decode": 10.0}
    assert queue.counters.chunks == 0
