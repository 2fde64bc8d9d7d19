"""From an outlet to a socket."""

from anyio import fail_after
from starlette.websockets import WebSocket

from worldplay.protocol.connection import ServerConnection
from worldplay.web.outlet import Close, Handover, Outlet


class Sender:
    """Sends to one connection what its client's outlet has. Event loop only."""

    def __init__(self, websocket: WebSocket, connection: ServerConnection, outlet: Outlet) -> None:
        self._websocket = websocket
        self._connection = connection
        self._outlet = outlet

    async def run(self, timeout_s: float) -> None:
        """Send up to a `Close`. Raises: TimeoutError or BufferError if the client does not read."""
        while True:
            item = await self._outlet.next()
            if isinstance(item, Close):
                await self._websocket.close(item.code)
                return
            if isinstance(item, Handover):
                self._outlet = item.outlet
                continue
            data = self._connection.send(item)
            with fail_after(timeout_s):
                await self._websocket.send_bytes(data)
