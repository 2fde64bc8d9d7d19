"""Wraps the application: checks the Host, adds security headers, names requests in the log."""

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from worldplay.settings import Settings
from worldplay.web.errors import ApiError
from worldplay.web.hosts import is_host_allowed
from worldplay.web.logs import begin_client
from worldplay.wording import show

logger = logging.getLogger(__name__)

# A response that needs less strict ones sets its own.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_REFUSED = "this server is not meant to be reached under the name of the Host header (see docs/deploy.md)"


def secured(app: ASGIApp, settings: Settings) -> ASGIApp:
    """Wrap an application."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await app(scope, receive, send)
        begin_client("request" if scope["type"] == "http" else "socket")
        host = Headers(scope=scope).get("host")
        if not is_host_allowed(host, settings):
            logger.warning("refused a request with the Host %s (see docs/deploy.md)", show(host))
            return await _refuse(scope, receive, _with_headers(send))
        return await app(scope, receive, _with_headers(send))

    return serve


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()  # the connection request
        return await WebSocket(scope, receive, send).send_denial_response(PlainTextResponse(_REFUSED, 403))
    is_api = scope["path"].startswith("/api/")
    response: Response = PlainTextResponse(_REFUSED, 403)
    if is_api:
        response = ApiError(403, "forbidden", _REFUSED).response()
    return await response(scope, receive, send)
