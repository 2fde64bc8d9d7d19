"""Serves the built page."""

import logging
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

from worldplay.web.compression import compressed

logger = logging.getLogger(__name__)

METHODS = ("GET", "HEAD")
KEPT = f"public, max-age={365 * 24 * 3600}, immutable"
# Nothing from other origins, nothing inline. Previews and video are blobs; the icon is a data URL.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "media-src blob:",
        "connect-src 'self' ws: wss:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    )
)


def has_page(folder: Path) -> bool:
    return (folder / "index.html").is_file()


def page_route(folder: Path) -> BaseRoute:
    """Serve the page at the root, or an explanation if it is not built."""
    if has_page(folder):
        return Mount("/", _Page(StaticFiles(directory=folder)))
    logger.warning(
        "there is no page in %s: build it with `make page`, or name another folder with WORLDPLAY_STATIC_DIR",
        folder,
    )

    async def explain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("The page is not built yet: run `make page`.", status_code=503)

    return Route("/", explain)


class _Page:
    """Serves files compressed, with headers for caching and security."""

    def __init__(self, files: StaticFiles) -> None:
        self._files = compressed(files)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in METHODS:  # some versions of StaticFiles do not name the methods
            raise HTTPException(405, headers={"Allow": ", ".join(METHODS)})
        # Files in assets/ have a hash of their content in their name; index.html refers to the latest ones.
        is_named_by_content = scope["path"].rpartition("/")[0].endswith("/assets")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Cache-Control"] = KEPT if is_named_by_content else "no-cache"
                headers["Content-Security-Policy"] = POLICY
                if "etag" in headers:
                    headers["ETag"] = f"W/{headers['etag']}"  # weak, as both encodings share it
                    headers["Vary"] = "Accept-Encoding"
            await send(message)

        if scope["path"] == "/":  # StaticFiles could do this, but would also redirect to folders, at any Host
            scope = {**scope, "path": "/index.html"}
        await self._files(scope, receive, send_with_headers)
