"""Sends the file of a kept walk. It is read while it is sent, so that a slow client holds no memory."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from worldplay.store.errors import without_path
from worldplay.web.answer import Answer, ClientGoneError

logger = logging.getLogger(__name__)

READ_BYTES = 2**20  # at a time
FILE_TYPE = "application/octet-stream"  # a browser asks before another site's page may send it
Read = Callable[[int, int], Awaitable[bytes]]


class KeptDownload(Response):
    """The answer that has a walk's file."""

    def __init__(self, num_bytes: int, read: Read, timeout_s: float, held: ExitStack) -> None:
        """Send so many bytes.

        Args:
            read: returns the bytes from one number up to another. Raises: OSError.
            timeout_s: after which a client that reads nothing is gone.
            held: closed when all is sent.
        """
        super().__init__(
            media_type=FILE_TYPE,
            headers={
                "content-length": str(num_bytes),
                "content-disposition": 'attachment; filename="walk.safetensors"',
                "cache-control": "no-store",
            },
        )
        self._num_bytes = num_bytes
        self._read = read
        self._timeout_s = timeout_s
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            answer = Answer(send, self._timeout_s)
            try:
                await answer.begin(self.raw_headers)
                if scope["method"] != "HEAD":
                    await self._send_file(answer)
                await answer.end()
            except ClientGoneError:
                logger.info("a client left before it had its walk")
            except OSError as error:  # too late for an error response: the answer ends half-way
                logger.warning("a walk that is kept could not be read: %s", without_path(error))

    async def _send_file(self, answer: Answer) -> None:
        for start in range(0, self._num_bytes, READ_BYTES):
            await answer.send_part(await self._read(start, min(start + READ_BYTES, self._num_bytes)))
