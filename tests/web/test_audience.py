"""What those who watch a walk are sent, each on a timeline of its own."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest
from prometheus_client import CollectorRegistry, Counter

from support.sent import MAX_CHUNKS, TRACK, FakeSocket, connected, cut_of, report, samples, welcome
from worldplay.engine.ports import ChunkReport
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ClientConnection
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.wire import pack
from worldplay.web.audience import Audience
from worldplay.web.outlet import Close, Packed
from worldplay.web.sender import Sender
from worldplay.web.watcher import Watcher

Told = list[dict[str, Any]]


class Room:
    """A walk, those who watch it, and time that passes when it is told to."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = SimpleNamespace(
            watch_frames_dropped=Counter("dropped", "", registry=self.registry),
            protocol_errors=Counter("errors", "", ["code"], registry=self.registry),
        )
        self.due: list[Callable[[], None]] = []
        self.audience = Audience(self.metrics, self._later)  # type: ignore[arg-type]
        self.counts: list[int] = []
        self.audience.tell_walker = self.counts.append

    @property
    def num_dropped(self) -> float | None:
        return self.registry.get_sample_value("dropped_total")

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append(call)

    def wait(self) -> None:
        due, self.due = self.due, []
        for call in due:
            call()

    def join(self) -> Watcher:
        return self.audience.join(welcome())

    def walk(self, *reports: ChunkReport) -> None:
        for each in reports:
            self.audience.put(each)
            for sample in samples(each):
                self.audience.put(sample)


@pytest.fixture
def room() -> Room:
    room = Room()
    room.audience.put(TRACK)
    return room


class SlowSocket(FakeSocket):
    """Takes a few messages, and the others only when it is open."""

    def __init__(self, num_taken: int) -> None:
        super().__init__()
        self.num_taken = num_taken
        self.is_stuck, self.is_open = asyncio.Event(), asyncio.Event()

    async def send_bytes(self, data: bytes) -> None:
        await super().send_bytes(data)
        if len(self.messages) >= self.num_taken:
            self.is_stuck.set()
            await self.is_open.wait()


async def read(watcher: Watcher, socket: FakeSocket | None = None) -> Told:
    """Everything that waits for a watcher, which then ends. It must be in the protocol's order."""
    watcher.put(Close(1000))
    return await send(watcher, socket or FakeSocket())


async def send(watcher: Watcher, socket: FakeSocket) -> Told:
    await Sender(socket, connected(watch="w"), watcher).run(timeout_s=1.0)  # type: ignore[arg-type]
    client = ClientConnection()
    for message in socket.messages:
        client.receive(msgpack.packb(message))
    return socket.messages


def of(kind: str, told: Told) -> Told:
    return [message for message in told if message["type"] == kind]


def frames(told: Told) -> list[tuple[int, int, bool]]:
    return [(each["chunk"], each["frame"], each["key"]) for each in of("media", told)]


async def test_who_comes_late_begins_at_the_last_key_frame(room: Room) -> None:
    room.walk(report(0), report(1))
    watcher = room.join()
    room.walk(report(2))
    told = await read(watcher)
    kinds = [message["type"] for message in told]
    assert kinds == ["welcome", "watchers", "init", "chunk", "media", "media", "chunk", "media", "media"]
    assert frames(told) == [(1, 2, True), (1, 3, False), (2, 4, True), (2, 5, False)]
    assert [(each["first_frame"], each["frames"]) for each in of("chunk", told)] == [(2, 2), (4, 2)]


async def test_who_comes_in_mid_chunk_gets_its_beginning_and_its_rest(room: Room) -> None:
    chunk = report(0)
    first, second = samples(chunk)
    room.audience.put(chunk)
    room.audience.put(first)
    watcher = room.join()
    room.audience.put(second)
    assert frames(await read(watcher)) == [(0, 0, True), (0, 1, False)]


async def test_who_comes_before_the_first_frame_gets_it(room: Room) -> None:
    watcher = room.join()
    room.walk(report(0))
    assert frames(await read(watcher)) == [(0, 0, True), (0, 1, False)]


async def test_who_comes_before_the_walk_is_open_gets_all(room: Room) -> None:
    room = Room()
    watcher = room.join()
    room.audience.put(TRACK)
    room.walk(report(0))
    assert [each["type"] for each in await read(watcher)][2:] == ["init", "chunk", "media", "media"]


async def test_watcher_sees_neither_keys_nor_cameras_nor_words(room: Room) -> None:
    watcher = room.join()
    room.walk(report(0, controls_seq=7))
    room.audience.put(m.State(what="prompt", chunk=0, text="my secret garden"))
    room.audience.put(m.State(what="view", view="gate"))
    told = await read(watcher)
    (chunk,) = of("chunk", told)
    assert chunk["controls_seq"] is None
    assert chunk["labels"] == chunk["motions"] == chunk["poses"] == []
    assert "state" not in {message["type"] for message in told}


@pytest.mark.usefixtures("few_frames")
async def test_slow_watcher_goes_on_at_a_key_frame_without_a_gap(room: Room) -> None:
    slow, other = room.join(), room.join()
    socket = SlowSocket(5)  # welcome, watchers, init, chunk, and one frame
    room.walk(report(0))
    sending = asyncio.create_task(send(slow, socket))
    await socket.is_stuck.wait()
    for index in range(1, MAX_CHUNKS + 2):
        room.walk(report(index))
    slow.put(Close(1000))
    socket.is_open.set()
    assert [(chunk, frame) for chunk, frame, _ in frames(await sending)] == [
        (0, 0),
        *[(2 + number // 2, 1 + number) for number in range(2 * MAX_CHUNKS)],
    ]
    assert of("media", socket.messages)[1]["key"]
    assert len(frames(await read(other))) == 2 * MAX_CHUNKS
    assert room.num_dropped == 3 + 4


async def test_slow_watcher_loses_nothing_earlier_if_chunks_are_cut(room: Room) -> None:
    watcher = room.join()
    whole = report(5)
    for kept in [0, 1, 2, 3] * 3:
        room.walk(cut_of(whole, kept))
    assert room.num_dropped == 0
    assert len(frames(await read(watcher))) == 2 * 12


async def test_watcher_that_reads_nothing_is_given_up(room: Room) -> None:
    watcher, socket = room.join(), SlowSocket(1)
    with pytest.raises(TimeoutError):
        await Sender(socket, connected(watch="w"), watcher).run(timeout_s=0.01)  # type: ignore[arg-type]


async def test_frame_is_packed_once_for_all_that_lost_none(room: Room) -> None:
    watchers = [room.join() for _ in range(3)]
    room.walk(report(0))
    packed = []
    for watcher in watchers:
        told = [await watcher.next() for _ in range(5)]
        packed += [each for each in told if isinstance(each, Packed)]
    assert len(packed) == 3
    assert packed[0] is packed[1] is packed[2]
    assert packed[0].data == pack(packed[0].message)


async def test_cut_is_announced_and_begins_with_a_key_frame(room: Room) -> None:
    watcher = room.join()
    whole = report(5)
    room.walk(whole, cut_of(whole, 3))
    told = await read(watcher)
    assert [(each["index"], each["first_frame"], each["frames"]) for each in of("chunk", told)] == [
        (5, 0, 2),
        (5, 2, 4),
    ]
    assert frames(told)[2] == (5, 2, True)


async def test_rewind_goes_on_with_a_smaller_chunk(room: Room) -> None:
    watcher = room.join()
    room.walk(report(4))
    room.audience.put(m.State(what="rewound", chunk=1))
    room.walk(report(1))
    assert [(chunk, frame) for chunk, frame, _ in frames(await read(watcher))] == [
        (4, 0),
        (4, 1),
        (1, 2),
        (1, 3),
    ]


async def test_another_start_brings_an_init_and_the_timeline_goes_on(room: Room) -> None:
    watcher = room.join()
    room.walk(report(0))
    room.audience.put(VideoTrack(16, 16, 24))
    late = room.join()
    room.walk(report(0))
    told = await read(watcher)
    assert len(of("init", told)) == 2
    assert [frame for _, frame, _ in frames(told)] == [0, 1, 2, 3]
    assert frames(await read(late)) == [(0, 2, True), (0, 3, False)]


async def test_walker_and_watchers_are_told_how_many_watch(room: Room) -> None:
    first, second = room.join(), room.join()
    room.wait()
    second.leave()
    room.wait()
    assert room.counts == [2, 1]
    assert [each["count"] for each in of("watchers", await read(first))] == [1]  # only the newest is sent


async def test_who_comes_and_goes_in_a_loop_is_told_of_once(room: Room) -> None:
    for _ in range(100):
        room.join().leave()
    room.join()
    room.wait()
    assert room.counts == [1]


async def news(watcher: Watcher) -> tuple[int, str]:
    while not isinstance(message := await watcher.next(), m.Watchers):
        pass
    return message.count, str(message.walker)


async def test_watchers_are_told_what_the_walker_does(room: Room) -> None:
    watcher = room.join()
    said = [await news(watcher)]
    happened: list[Callable[[], None]] = [
        lambda: room.audience.put(m.State(what="paused")),
        lambda: room.audience.put(m.State(what="resumed")),
        lambda: room.audience.put(m.Queued(position=1, eta=5.0)),
        lambda: room.walk(report(0)),
        lambda: room.audience.set_away(True),
        lambda: room.audience.set_away(False),
    ]
    for happen in happened:
        happen()
        room.wait()
        said.append(await news(watcher))
    assert [walker for _, walker in said] == [
        "walking",
        "paused",
        "walking",
        "queued",
        "walking",
        "away",
        "walking",
    ]
    assert {count for count, _ in said} == {1}


async def test_who_comes_while_the_walk_is_paused_is_told(room: Room) -> None:
    room.walk(report(0))
    room.audience.put(m.State(what="paused"))
    told = await read(room.join())
    assert told[1] == {"type": "watchers", "count": 1, "walker": "paused"}
    assert len(of("media", told)) == 2


async def test_start_goes_on_after_a_pause(room: Room) -> None:
    room.audience.put(m.State(what="paused"))
    room.audience.put(TRACK)
    assert room.audience.walker == "walking"


async def test_end_says_goodbye(room: Room) -> None:
    watcher = room.join()
    room.audience.end("the walk has ended")
    room.walk(report(0))
    told = await read(watcher)
    assert told[-1] == {"type": "bye", "reason": "the walk has ended"}
    assert not of("media", told)
    assert len(room.audience) == 0


async def test_errors_of_the_walk_are_its_clients_own(room: Room) -> None:
    watcher = room.join()
    room.audience.put(ProtocolError(ErrorCode.BAD_REQUEST, "expected a view, got none"))
    assert not of("error", await read(watcher))


async def test_error_of_a_watcher_is_told_to_it_alone_and_counted(room: Room) -> None:
    watcher, other = room.join(), room.join()
    watcher.put(ProtocolError(ErrorCode.BAD_ORDER, "expected ping or stop, got start"))
    (error,) = of("error", await read(watcher))
    assert error["code"] == "bad_order"
    assert not of("error", await read(other))
    assert room.registry.get_sample_value("errors_total", {"code": "bad_order"}) == 1


async def test_two_walks_have_nothing_in_common() -> None:
    rooms = [Room(), Room()]
    watchers = [each.join() for each in rooms]
    for each in rooms:
        each.audience.put(TRACK)
    rooms[0].walk(report(3), report(4))
    rooms[1].walk(report(7))
    assert [[index for index, _, _ in frames(await read(each))] for each in watchers] == [
        [3, 3, 4, 4],
        [7, 7],
    ]


async def test_walker_that_has_its_place_back_while_paused_is_paused(room: Room) -> None:
    room.audience.is_paused = lambda: True
    for item in (m.State(what="paused"), m.Queued(position=1, eta=5.0)):
        room.audience.put(item)
    walkers = [room.audience.walker]
    room.audience.put(m.State(what="seated"))
    assert [*walkers, room.audience.walker] == ["queued", "paused"]


async def test_pause_made_while_queued_is_not_forgotten_when_the_walk_opens(room: Room) -> None:
    room.audience.is_paused = lambda: True
    for item in (m.Queued(position=1, eta=5.0), m.State(what="paused"), m.State(what="seated"), TRACK):
        room.audience.put(item)
    assert room.audience.walker == "paused"
    room.walk(report(0))  # a step
    assert room.audience.walker == "paused"


async def test_walker_that_goes_on_elsewhere_is_not_paused_any_more(room: Room) -> None:
    room.audience.put(m.State(what="paused"))
    room.walk(report(0))
    assert room.audience.walker == "walking"
