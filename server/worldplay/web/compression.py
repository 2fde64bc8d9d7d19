"""Compresses answers: the page and the API's description, but nothing that holds video."""

import re

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_TAKES_GZIP = re.compile(r"gzip(;q=(?!0(\.0*)?$).*)?")  # a weight of zero refuses it


def compressed(app: ASGIApp) -> ASGIApp:
    """Compress what an application answers, for clients that take gzip.

    A streamed MP4 must not come through here, as a browser could not play it while it grows. Neither must
    JSON with a clip in it: a quarter less base64 is not worth the time that walks would lose.
    """
    zipped = GZipMiddleware(app, compresslevel=6)

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        if not _takes_gzip(Headers(scope=scope)):  # the middleware overlooks weights
            headers = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
            scope = {**scope, "headers": headers}
        await zipped(scope, receive, send)

    return choose


def _takes_gzip(headers: Headers) -> bool:
    choices = ",".join(headers.getlist("accept-encoding")).lower().replace(" ", "").split(",")
    return any(_TAKES_GZIP.fullmatch(choice) for choice in choices)
