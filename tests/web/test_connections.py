"""How many connections there may be, and for how long."""

import asyncio
from typing import cast

import pytest

from support.waiting import Clock
from worldplay.web.connections import (
    CLOSING_TIMEOUT_S,
    MAX_UNFINISHED_BYTES,
    REQUEST_TIMEOUT_S,
    Connection,
    ConnectionLimits,
    Connections,
    group_address,
    plan_limits,
)


class Transport:
    """As much of a transport as the limits look at."""

    def __init__(self) -> None:
        self.waiting = 0
        self.closing = False
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 16_384, 65_536

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limited(clock: Clock, total: int = 4, per_address: int = 2, trusted: str = "") -> Connections:
    return Connections(ConnectionLimits(total, per_address, 1), clock, frozenset(filter(None, [trusted])))


def enter(connections: Connections, host: str | None = "10.0.0.1") -> Transport | None:
    transport = Transport()
    held = connections.enter(cast(asyncio.Transport, transport), host)
    return transport if held else None


def test_one_address_cannot_take_all_connections(clock: Clock) -> None:
    connections = limited(clock)
    assert enter(connections)
    assert enter(connections)
    assert enter(connections) is None
    assert enter(connections, "10.0.0.2")


def test_proxy_may_open_as_many_as_there_are(clock: Clock) -> None:
    connections = limited(clock, trusted="10.0.0.1")
    assert all(enter(connections) for _ in range(4))
    assert enter(connections) is None


def test_connection_that_ends_makes_room(clock: Clock) -> None:
    connections = limited(clock, total=1)
    first = enter(connections)
    assert enter(connections) is None
    for _ in range(2):
        connections.leave(cast(asyncio.Transport, first))
    assert enter(connections)


def test_network_of_ipv6_counts_as_one_address() -> None:
    assert group_address("2001:db8::1") == group_address("2001:db8::ffff:1")
    assert group_address("2001:db8::1") != group_address("2001:db8:0:1::1")
    assert group_address("::ffff:10.0.0.1") == "10.0.0.1"


def test_connection_without_a_request_is_ended(clock: Clock) -> None:
    connections = limited(clock)
    silent, busy = enter(connections), enter(connections)
    assert silent
    assert busy
    connections.note_request(cast(asyncio.Transport, busy))
    clock.now_s = REQUEST_TIMEOUT_S + 1
    connections.sweep()
    assert (silent.aborted, busy.aborted) == (True, False)


def test_answer_that_nobody_reads_ends_the_connection(clock: Clock) -> None:
    connections = limited(clock)
    transport = enter(connections)
    assert transport
    connections.note_request(cast(asyncio.Transport, transport))
    transport.waiting = 2**20
    for second in range(0, 300, 10):
        clock.now_s = second
        connections.sweep()
        assert transport.aborted == (second > 20 + 256)


def test_closing_that_never_ends_is_cut_off(clock: Clock) -> None:
    connections = limited(clock)
    transport = enter(connections)
    assert transport
    connections.note_request(cast(asyncio.Transport, transport))
    transport.closing = True
    connections.sweep()
    clock.now_s = CLOSING_TIMEOUT_S + 1
    connections.sweep()
    assert transport.aborted


def test_unfinished_messages_have_a_common_bound(clock: Clock) -> None:
    connections = limited(clock)
    first, second = (
        connections.find(cast(asyncio.Transport, enter(connections))),
        connections.find(cast(asyncio.Transport, enter(connections))),
    )
    assert first
    assert second
    assert connections.hold(first, MAX_UNFINISHED_BYTES)
    assert not connections.hold(second, 1)
    connections.leave(first.transport)
    assert connections.hold(second, 1)


@pytest.mark.parametrize("files", [32, 64, 1024, 65_536])
def test_connections_leave_file_descriptors_for_others(files: int) -> None:
    limits = plan_limits(1000, 128, files)
    assert limits.total + limits.backlog <= max(4, files - 24)
    assert limits.per_address <= limits.total


def test_oldest_unfinished_messages_make_room_for_newer_ones(clock: Clock) -> None:
    """Otherwise whoever holds them could end those of everybody else."""
    connections, failed = limited(clock), list[str]()
    held = {}
    for name in ("first", "second"):
        connection = connections.find(cast(asyncio.Transport, enter(connections)))
        assert connection

        def fail(code: int, reason: str, name: str = name, connection: Connection = connection) -> None:
            failed.append(f"{name} {code}")
            connections.hold(connection, 0)

        connection.fail, held[name] = fail, connection
        clock.now_s += 1
    assert connections.hold(held["first"], MAX_UNFINISHED_BYTES)
    assert not connections.hold(held["second"], 1000)
    connections.make_room(500)
    assert (failed, connections.unfinished_bytes) == (["first 1013"], 1000)
