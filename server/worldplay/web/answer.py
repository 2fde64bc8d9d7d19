"""Sends an HTTP answer part by part, and gives up on a client that does not read it."""

from collections.abc import Awaitable

from anyio import fail_after
from starlette.responses import Response
from starlette.types import Send

PART_BYTES = 2**16  # as much as the server takes before it waits for the client


class ClientGoneError(Exception):
    """The client has left, or reads too slowly."""


class Answer:
    """One answer. Its methods raise ClientGoneError if the client has left or is too slow."""

    def __init__(self, send: Send, timeout_s: float) -> None:
        self._send = send
        self._timeout_s = timeout_s

    async def begin(self, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
        await self._wait(self._send({"type": "http.response.start", "status": status, "headers": headers}))

    async def send_part(self, part: bytes) -> None:
        await self._wait(self._send({"type": "http.response.body", "body": part, "more_body": True}))

    async def end(self) -> None:
        """End the answer. On return the client has read all but the last few parts."""
        await self._wait(self._send({"type": "http.response.body", "body": b"", "more_body": False}))

    async def send_whole(self, response: Response) -> None:
        """Send a finished response part by part.

        In one piece the server would accept it at once, even if the client does not read.
        """
        await self.begin(response.raw_headers)
        for start in range(0, len(response.body), PART_BYTES):
            await self.send_part(bytes(response.body[start : start + PART_BYTES]))
        await self.end()

    async def _wait(self, sending: Awaitable[None]) -> None:
        try:
            with fail_after(self._timeout_s):
                await sending
        except OSError:  # a TimeoutError is one
            raise ClientGoneError from None
