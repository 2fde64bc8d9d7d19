"""What a session puts on tape in the end."""

from collections.abc import Callable
from typing import cast

import torch

from support.tiny_world import make_world
from support.walks import walk_about
from worldplay.store.tape import Tape, Walk
from worldplay.web.recording import SessionRecording


class Kept:
    """A tape that keeps what is put on it."""

    def __init__(self) -> None:
        self.items: list[object] = []

    def put(self, item: object) -> None:
        self.items.append(item)


@torch.inference_mode()
def test_describing_a_walk_in_the_end_is_counted() -> None:
    tape, world, counted = Kept(), make_world(), list[Callable[[], bytes]]()

    def count(describe: Callable[[], bytes]) -> Callable[[], bytes]:
        counted.append(describe)
        return describe

    recording = SessionRecording(cast(Tape, tape), world)
    recording.counted = count
    recording.walked(walk_about(world))
    recording.end()
    assert tape.items[0] == Walk(counted[0])
