"""A stream whose client has come back elsewhere, after its own connection died."""

import asyncio
from types import SimpleNamespace
from typing import Any

from prometheus_client import Counter
from starlette.websockets import WebSocket, WebSocketState

from worldplay.web.stream import Stream


async def receive() -> Any:
    raise AssertionError("nothing is read")


async def send_nowhere(message: Any) -> None:
    raise OSError("the connection is dead")


def test_dead_connection_is_not_closed_twice() -> None:
    websocket = WebSocket({"type": "websocket"}, receive, send_nowhere)
    websocket.application_state = WebSocketState.CONNECTED
    stream = object.__new__(Stream)
    stream._websocket, stream._is_dismissed = websocket, True
    stream._connection = SimpleNamespace(send=lambda message: b"")  # type: ignore[assignment]
    stream._errors = Counter("errors", "Errors.", ["code"], registry=None)
    asyncio.run(stream._close(None))
    assert stream._errors.labels("taken_over")._value.get() == 1
    assert websocket.application_state is WebSocketState.DISCONNECTED
