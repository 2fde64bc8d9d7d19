"""The same trajectory and noise twice, by one worker: a session that walks live, and a clip."""

from support.fakes import FakeClock, Recorder
from worldplay.engine.admission import Admission
from worldplay.engine.clip_run import ClipJob, ClipRequest
from worldplay.engine.session import Session
from worldplay.engine.worker import Worker
from worldplay.world.live_walk import LiveWalk
from worldplay.world.pose_files import parse_trajectory
from worldplay.world.steering import TrajectorySteering, WalkRequest
from worldplay.world.world import World

LABELS = [0, 9, 9, 1, 1, 1, 27, 27]  # of the trajectory


class Spy:
    """A world that remembers the walks it opened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.walks: list[LiveWalk] = []

    @property
    def fps(self) -> int:
        return self.world.fps

    def open_walk(self, request: WalkRequest) -> LiveWalk:
        self.walks.append(self.world.open_walk(request))
        return self.walks[-1]

    def free_memory(self) -> None:
        self.world.free_memory()


class Silent:
    """A receiver that wants nothing."""

    def on_opened(self) -> None: ...

    def on_pass(self) -> None: ...

    def on_chunk(self, report: object) -> None: ...

    def on_frames(self, frames: object, decode_ms: float) -> None: ...

    def on_finished(self) -> None: ...

    def on_failed(self, code: str, message: str) -> None:
        raise AssertionError(message)


def walk_live_and_offline(world: World) -> tuple[LiveWalk, LiveWalk, Recorder]:
    """Walk stage by stage. Returns: the live walk, the clip's, and what the session's listener heard."""
    spy, clock = Spy(world), FakeClock()
    worker = Worker(spy, Admission(1, 0), clock)
    trajectory = parse_trajectory("w-2,right-3,d-2")
    clip = ClipRequest(
        WalkRequest(seed=11, origin=trajectory.origin), TrajectorySteering(trajectory.moves), num_chunks=2
    )
    worker.clips.arrivals.append(ClipJob(clip, Silent(), lambda: None))
    for _ in range(4):  # opened, context, two steps: the session takes the caches in mid-chunk
        worker.run_once()
    listener = Recorder()
    session = Session(1, listener, clock, lambda: None)
    worker.arrivals.append(session)
    session.start(WalkRequest(prompt="", seed=11))
    session.poses(1, trajectory.moves)
    for _ in range(1000):
        worker.run_once()
        clock.advance(1)
    offline, live = spy.walks
    return live, offline, listener
