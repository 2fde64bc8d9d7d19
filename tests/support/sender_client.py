"""A client of the sender: its socket, and what is queued for it."""

from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from support.sent import FakeSocket, connected, samples, welcome
from worldplay.engine.ports import ChunkReport
from worldplay.web.latency import LatencyTracker
from worldplay.web.outlet import Close, Outlet
from worldplay.web.sender import Sender


class Client:
    """A socket, and the sender that writes to it."""

    def __init__(self, *fields: str, first_frame: int = 0) -> None:
        """`fields`: later fields of the protocol that it knows."""
        self.socket = FakeSocket()
        self.latency = LatencyTracker()
        self.num_dropped = 0
        self.registry = CollectorRegistry()
        self.metrics = SimpleNamespace(
            frames_dropped=Counter("dropped", "", registry=self.registry),
            protocol_errors=Counter("errors", "", ["code"], registry=self.registry),
        )
        self.outlet = Outlet(self.latency, self.metrics, self.drop, first_frame)  # type: ignore[arg-type]
        self.outlet.tells_revision = "revision" in fields
        self.sender = Sender(self.socket, connected(), self.outlet)  # type: ignore[arg-type]
        self.outlet.put(welcome())

    def drop(self, num_frames: int) -> None:
        self.num_dropped += num_frames

    async def sent(self, type: str) -> list[dict[str, Any]]:
        """Everything of a type, after the connection is closed."""
        self.outlet.put(Close(1000))
        await self.sender.run(timeout_s=1.0)
        return [message for message in self.socket.messages if message["type"] == type]


def put_chunk(client: Client, chunk: ChunkReport) -> None:
    client.outlet.put(chunk)
    for sample in samples(chunk):
        client.outlet.put(sample)


def on_a_new_connection(client: Client) -> Client:
    """The same outlet, on a connection whose client has said that it wants to resume."""
    again = Client()
    again.outlet = client.outlet
    again.sender = Sender(again.socket, connected(), client.outlet)  # type: ignore[arg-type]
    return again
