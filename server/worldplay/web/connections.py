"""Bounds connections: how many there are, of whom, for how long, and how much memory they hold."""

import ipaddress
import resource
from asyncio import Transport
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

RESERVED_FILES = 24  # descriptors for weights, logs, recordings and the event loop
MAX_FILES = 65_536  # as many descriptors as the process asks for
MAX_BACKLOG = 128
REQUEST_TIMEOUT_S = 10.0  # for the headers of a request, from the connection's begin or the last answer
CLOSING_TIMEOUT_S = 10.0  # for a client to read the rest, after the connection was closed
DRAIN_BYTES_PER_S = 4096  # the least rate at which an answer must be read, after DRAIN_GRACE_S
DRAIN_GRACE_S = 20.0
MAX_UNFINISHED_BYTES = 128 * 2**20  # of messages that were begun, all clients together


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The most connections at once, of everybody and of one address, and how many may wait to be accepted."""

    total: int
    per_address: int
    backlog: int


def plan_limits(most: int, per_address: int, max_files: int) -> ConnectionLimits:
    """Fit the limits to the number of file descriptors: without a free one the server accepts nobody."""
    room = max(4, max_files - RESERVED_FILES)
    backlog = max(1, min(MAX_BACKLOG, room // 4))  # so many are accepted before any of them can be refused
    total = max(1, min(most, room - backlog))
    return ConnectionLimits(total, min(per_address, total), backlog)


def raise_file_limit() -> int:
    """Ask for as many file descriptors as are allowed, up to MAX_FILES. Returns: how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MAX_FILES if soft == resource.RLIM_INFINITY else soft


def group_address(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


@dataclass(slots=True)
class Connection:
    """One TCP connection, and when it must be ended. Times are of the event loop's clock."""

    transport: Transport
    address: str | None  # None: not limited by address
    request_by_s: float | None  # when a request must have come; None while one is handled
    unfinished_bytes: int = 0  # of a message that was begun
    unfinished_since_s: float = 0.0
    fail: Callable[[int, str], None] | None = None  # closes a WebSocket with a code and a reason
    closing_since_s: float | None = None
    drained_by_s: float | None = None  # when the waiting bytes must have been read

    def is_overdue(self, now_s: float) -> bool:
        """Return whether the client is too slow, and note what it does now."""
        waiting = self.transport.get_write_buffer_size()
        _, high_water = self.transport.get_write_buffer_limits()
        if waiting <= high_water:
            self.drained_by_s = None
        elif self.drained_by_s is None:
            self.drained_by_s = now_s + DRAIN_GRACE_S + waiting / DRAIN_BYTES_PER_S
        if self.transport.is_closing():
            self.closing_since_s = now_s if self.closing_since_s is None else self.closing_since_s
            return now_s - self.closing_since_s > CLOSING_TIMEOUT_S
        late = (by_s for by_s in (self.request_by_s, self.drained_by_s) if by_s is not None)
        return any(now_s > by_s for by_s in late)


@dataclass(slots=True)
class Connections:
    """All open connections. Event loop only."""

    limits: ConnectionLimits
    clock: Callable[[], float]
    trusted: frozenset[str] = frozenset()  # addresses of proxies, which speak for many clients
    num_refused: int = 0
    num_cut_off: int = 0
    unfinished_bytes: int = 0
    _open: dict[Transport, Connection] = field(default_factory=dict)
    _by_address: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, transport: Transport, host: str | None) -> Connection | None:
        """Count a new connection. Returns: None if there are too many."""
        address = None if host is None or host in self.trusted else group_address(host)
        held = self._by_address[address] if address is not None else 0
        if len(self._open) >= self.limits.total or held >= self.limits.per_address:
            self.num_refused += 1
            return None
        connection = Connection(transport, address, self.clock() + REQUEST_TIMEOUT_S)
        self._open[transport] = connection
        if address is not None:
            self._by_address[address] += 1
        return connection

    def leave(self, transport: Transport) -> None:
        """Forget a connection, if it was counted."""
        connection = self._open.pop(transport, None)
        if connection is None:
            return
        self.hold(connection, 0)
        if connection.address is not None:
            self._by_address[connection.address] -= 1
            if self._by_address[connection.address] <= 0:
                del self._by_address[connection.address]

    def find(self, transport: Transport) -> Connection | None:
        return self._open.get(transport)

    def expect_request(self, transport: Transport) -> None:
        """Start the time limit for the next request's headers."""
        if connection := self._open.get(transport):
            connection.request_by_s = self.clock() + REQUEST_TIMEOUT_S

    def note_request(self, transport: Transport) -> None:
        if connection := self._open.get(transport):
            connection.request_by_s = None

    def hold(self, connection: Connection, num_bytes: int) -> bool:
        """Note how many bytes of an unfinished message a connection holds. Returns: whether there is room."""
        if not connection.unfinished_bytes:
            connection.unfinished_since_s = self.clock()
        self.unfinished_bytes += num_bytes - connection.unfinished_bytes
        connection.unfinished_bytes = num_bytes
        return self.unfinished_bytes <= MAX_UNFINISHED_BYTES

    def make_room(self, least_bytes: int) -> None:
        """End WebSockets whose messages were begun first, and hold more than this, until there is room."""
        large = [each for each in self._open.values() if each.unfinished_bytes > least_bytes]
        for connection in sorted(large, key=lambda each: each.unfinished_since_s):
            if self.unfinished_bytes <= MAX_UNFINISHED_BYTES:
                return
            self.num_cut_off += 1
            if connection.fail is not None:
                connection.fail(1013, "too many unfinished messages")

    def sweep(self) -> None:
        """End the connections whose clients are too slow."""
        now_s = self.clock()
        for connection in list(self._open.values()):
            if connection.is_overdue(now_s):
                self.num_cut_off += 1
                connection.transport.abort()

    def abort(self) -> None:
        """End all connections, whatever waits to be read."""
        for connection in list(self._open.values()):
            connection.transport.abort()
