"""Compresses answers: the page and the API's description, but nothing that holds video."""

import re

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_TAKES_GZIP = re.compile(r"gzip(;q=(?!0(\.0*)?$).*)?")  # a weight of zero refuses it


def compressed(app: ASGIApp) -> ASGIApp:
    """Compress the responses of an application, for clients that accept gzip.

    Not for a streamed MP4: a browser could not play it while it grows. Not for JSON that holds a clip: saving
    a quarter of the base64 is not worth the processor time, which walks would lose.
    """
    zipped = GZipMiddleware(app, compresslevel=6)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        if not _takes_gzip(Headers(scope=scope)):  # the middleware ignores q weights
            headers = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
            scope = {**scope, "headers": headers}
        await zipped(scope, receive, send)

    return choose


def _takes_gzip(headers: Headers) -> bool:
    choices = ",".join(headers.getlist("accept-encoding")).lower().replace(" ", "").split(",")
    return any(_TAKES_GZIP.fullmatch(choice) for choice in choices)
