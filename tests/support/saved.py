"""A walk that is made under a clock, and saved while it is made."""

from pathlib import Path

from support.tiny_world import make_world
from support.walks import AHEAD, go_on, open_walk
from worldplay.store.files import Files
from worldplay.store.keeper import Keeper
from worldplay.store.store import Store, new_id
from worldplay.world.live_walk import LiveWalk


class Saved:
    """A walk that is made under a clock, and saved."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = 0.0
        self.store = Store(Files(str(folder)), 10**7, 3600.0)
        self.keeper = Keeper(self.store, lambda: self.now_ms)
        self.id = new_id()
        self.kept = self.keeper.keep(self.id, "secret")
        self.walk: LiveWalk = open_walk(make_world())

    def go_on(self, time_ms: float) -> None:
        go_on(self.walk, [AHEAD])
        self.now_ms += time_ms
        self.kept.changed(self.walk)
        self.wait()

    def wait(self) -> None:
        if self.kept._task is not None:
            self.kept._task.result()

    def end(self) -> None:
        self.kept.finish(self.walk)
        self.keeper.close()
