"""The HTTP application: health, metrics, the API, the page, and the WebSocket that streams walks."""

import asyncio
import atexit
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.loading import open_engine, open_ranks
from worldplay.settings import Settings
from worldplay.sizing import fix_size
from worldplay.store.files import Files
from worldplay.store.keeper import Keeper
from worldplay.store.store import Store
from worldplay.web.errors import EXCEPTION_HANDLERS
from worldplay.web.generate_video import api_routes
from worldplay.web.limits import LIMITS
from worldplay.web.monitoring import Metrics, describe_health
from worldplay.web.snapshot_api import snapshot_routes
from worldplay.web.static_page import page_route
from worldplay.web.stream import Stream
from worldplay.web.visits import Visits
from worldplay.world.world import World

SECONDS_A_DAY = 24 * 3600.0


def create_app(settings: Settings, world: World, engine: Engine) -> Starlette:
    """Build the application around an engine. The application starts and closes the engine."""
    metrics, store = Metrics(engine), open_store(settings)
    keeper = None if store is None else Keeper(store, monotonic_ms)
    visits = Visits(world, engine, metrics, store, keeper, settings.resume_s)

    async def health(request: Request) -> Response:
        body = describe_health(settings, world, engine)
        content = body.model_dump_json()
        return Response(content, 200 if body.ready else 503, media_type="application/json")

    async def export_metrics(request: Request) -> Response:
        return Response(metrics.export(), media_type=metrics.media_type)

    async def walk(websocket: WebSocket) -> None:
        await Stream(websocket, settings, world, engine, metrics, visits, store).run()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        engine.start()
        try:
            yield
        finally:
            visits.close()
            engine.close()
            if keeper is not None:
                await asyncio.to_thread(keeper.close)

    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/metrics", export_metrics),
        WebSocketRoute("/ws", walk),
        *snapshot_routes(settings, world, store),
        *api_routes(settings, world, engine),
        page_route(settings.static_dir),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=EXCEPTION_HANDLERS)


def open_store(settings: Settings) -> Store | None:
    """Open the store of walks, unless the operator wants none. Raises: ValueError naming the setting."""
    if settings.store == "none":
        return None
    try:
        files = Files(settings.store)
    except ValueError as error:
        raise ValueError(f"setting store: {error}") from None
    return Store(files, settings.store_mb * 10**6, settings.keep_days * SECONDS_A_DAY)


def load_app(settings: Settings) -> Starlette:
    """Load the world and build the application around it, for another ASGI server.

    Raises: ValueError or OSError saying what is wrong and what to do.
    """
    stack = ExitStack()
    atexit.register(stack.close)
    settings = fix_size(settings)
    ranks = stack.enter_context(open_ranks(settings))
    return create_app(settings, *open_engine(settings, ranks))


def create_server(settings: Settings, world: World, engine: Engine) -> uvicorn.Server:
    """Build the application and a uvicorn server for it; the caller passes a bound socket to `run`."""
    config = uvicorn.Config(
        create_app(settings, world, engine),
        ws="websockets-sansio",
        ws_max_size=2 * LIMITS.message_bytes,  # up to here a frame that is too large gets an `error`
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)
