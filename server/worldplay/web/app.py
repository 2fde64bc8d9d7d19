"""The HTTP application: health, metrics, the API, the page, and the WebSocket that streams walks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from worldplay.engine.engine import Engine
from worldplay.loading import open_engine
from worldplay.settings import Settings, read_proxies
from worldplay.web.connections import Connections, plan_limits, raise_file_limit
from worldplay.web.errors import EXCEPTION_HANDLERS
from worldplay.web.generate_video import api_routes
from worldplay.web.guarded_http import GuardedConfig, GuardedHttp
from worldplay.web.guarded_websocket import GuardedWebSocket
from worldplay.web.limits import LIMITS
from worldplay.web.monitoring import Metrics, describe_health
from worldplay.web.picture_decoding import PictureDecoding
from worldplay.web.secured import secured
from worldplay.web.static_page import page_route
from worldplay.web.stream import Stream
from worldplay.world.world import World


class _App(Starlette):
    """A Starlette application that is also secured where Starlette itself answers."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings

    def build_middleware_stack(self) -> ASGIApp:
        return secured(super().build_middleware_stack(), self._settings)


def create_app(settings: Settings, world: World, engine: Engine) -> Starlette:
    """Build the application around an engine. The application starts and closes the engine."""
    metrics, decoding = Metrics(engine), PictureDecoding()

    async def health(request: Request) -> Response:
        body = describe_health(settings, world, engine)
        content = body.model_dump_json()
        return Response(content, 200 if body.ready else 503, media_type="application/json")

    async def export_metrics(request: Request) -> Response:
        return Response(metrics.export(), media_type=metrics.media_type)

    async def walk(websocket: WebSocket) -> None:
        await Stream(websocket, settings, world, engine, metrics, decoding).run()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        engine.start()
        try:
            yield
        finally:
            engine.close()

    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/metrics", export_metrics),
        WebSocketRoute("/ws", walk),
        *api_routes(settings, world, engine, decoding),
        page_route(settings.static_dir),
    ]
    return _App(settings, routes=routes, lifespan=lifespan, exception_handlers=EXCEPTION_HANDLERS)


def load_app(settings: Settings) -> Starlette:
    """Load the world and build the application around it, for another ASGI server.

    Raises: ValueError or OSError saying what is wrong and what to do.
    """
    return create_app(settings, *open_engine(settings))


def create_server(settings: Settings, world: World, engine: Engine) -> uvicorn.Server:
    """Build the application and a uvicorn server for it; the caller passes a bound socket to `run`."""
    limits = plan_limits(settings.max_connections, settings.max_per_address, raise_file_limit())
    proxies = read_proxies(settings.trusted_proxies)
    connections = Connections(limits, monotonic, proxies)
    config = GuardedConfig(
        create_app(settings, world, engine),
        connections,
        http=GuardedHttp,
        ws=GuardedWebSocket,
        backlog=limits.backlog,
        forwarded_allow_ips=sorted(proxies),
        callback_notify=connections.sweep,
        timeout_notify=1,
        ws_max_size=2 * LIMITS.message_bytes,  # up to here a frame that is too large gets an `error`
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)
