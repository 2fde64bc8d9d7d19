"""The HTTP application: health, metrics, the API, the page, and the WebSocket that streams walks."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from worldplay.engine.engine import Engine
from worldplay.loading import open_world
from worldplay.settings import Settings
from worldplay.web.capacity import count_in_time
from worldplay.web.errors import EXCEPTION_HANDLERS
from worldplay.web.generate_video import api_routes
from worldplay.web.limits import LIMITS
from worldplay.web.monitoring import Metrics, describe_health
from worldplay.web.static_page import page_route
from worldplay.web.stream import Stream
from worldplay.world.released.files import is_released
from worldplay.world.released.variants import find_variant
from worldplay.world.world import World

logger = logging.getLogger(__name__)


def create_app(settings: Settings, world: World, engine: Engine) -> Starlette:
    """Build the application around an engine, which it starts and closes."""
    metrics = Metrics(engine)

    async def health(request: Request) -> Response:
        body = describe_health(settings, world, engine)
        content = body.model_dump_json()
        return Response(content, 200 if body.ready else 503, media_type="application/json")

    async def export_metrics(request: Request) -> Response:
        return Response(metrics.export(), media_type=metrics.media_type)

    async def walk(websocket: WebSocket) -> None:
        await Stream(websocket, settings, world, engine, metrics).run()

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
        *api_routes(settings, world, engine),
        page_route(settings.static_dir),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=EXCEPTION_HANDLERS)


def load_app(settings: Settings) -> Starlette:
    """Load the world that the settings ask for and build the application around it.

    Raises: ValueError or OSError naming what is wrong and the remedy.
    """
    return create_app(settings, *_load(settings))


def _load(settings: Settings) -> tuple[World, Engine]:
    can_walk = settings.model == "embedded" or find_variant(settings.variant).is_live
    world = open_world(settings, sessions=settings.max_sessions if can_walk else 0, clips=1)
    return world, make_engine(settings, world)


def make_engine(settings: Settings, world: World) -> Engine:
    """An engine with as many places as the operator allows and the memory has room for.

    Of a small world the default is no more than this machine keeps in real time; what the released model
    takes on a CPU would be minutes.
    """
    places = settings.max_sessions
    if world.can_walk:
        if world.max_sessions is not None:
            places = min(places, world.max_sessions)
        elif "max_sessions" not in settings.model_fields_set and not is_released(settings.model):
            places = count_in_time(world, places)
            logger.info("this machine keeps so many visitors in real time: %d", places)
    return Engine(world, places, settings.max_queued)


def create_server(settings: Settings, world: World, engine: Engine) -> uvicorn.Server:
    """Make the server process's uvicorn; it runs on a socket that is already bound."""
    config = uvicorn.Config(
        create_app(settings, world, engine),
        ws="websockets-sansio",
        ws_max_size=2 * LIMITS.message_bytes,  # what is merely too large gets an explanation
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def run(settings: Settings, listening: socket.socket) -> None:
    """Load the world and serve until interrupted."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    world, engine = _load(settings)
    host, port = listening.getsockname()[:2]
    logger.info("walk at http://%s:%d", f"[{host}]" if ":" in host else host, port)
    create_server(settings, world, engine).run(sockets=[listening])
