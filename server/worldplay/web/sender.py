"""From an outlet, or a watcher's queue, to a socket."""

from collections.abc import Iterator
from contextlib import contextmanager

from anyio import fail_after
from starlette.websockets import WebSocket, WebSocketDisconnect

from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.web.outlet import Close, Handover, Packed, Source


class Sender:
    """Sends to one connection what its client's source has. Event loop only."""

    def __init__(self, websocket: WebSocket, connection: ServerConnection, source: Source) -> None:
        self._websocket = websocket
        self._connection = connection
        self._source = source

    async def run(self, timeout_s: float) -> None:
        """Send up to a `Close`.

        Raises: TimeoutError or BufferError if the client does not read; WebSocketDisconnect if it is gone.
        """
        while True:
            item = await self._source.next()
            if isinstance(item, Close):
                with _telling_closed():
                    await self._websocket.close(item.code)
                return
            if isinstance(item, Handover):
                self._source = item.source
                continue
            data = self._bytes_of(item)
            with _telling_closed(), fail_after(timeout_s):
                await self._websocket.send_bytes(data)

    def _bytes_of(self, item: m.ServerMessage | Packed) -> bytes:
        if isinstance(item, Packed):
            self._connection.check(item.message)
            return item.data
        return self._connection.send(item)


@contextmanager
def _telling_closed() -> Iterator[None]:
    """Turn the error of sending to a closed socket into a loss.

    uvicorn closes it when a client answers no ping; then it is lost, like one that was reset.
    """
    try:
        yield
    except RuntimeError:
        raise WebSocketDisconnect(1006) from None
