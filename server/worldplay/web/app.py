"""The HTTP application: health, metrics, the API, the page, and the WebSocket that streams walks."""

import asyncio
import atexit
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from time import monotonic, time
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from worldplay.engine.engine import Engine, monotonic_ms
from worldplay.engine_setup import open_engine
from worldplay.loading import open_ranks
from worldplay.setting_kinds import read_proxies
from worldplay.settings import Settings
from worldplay.sizing import fix_size
from worldplay.store.files import Files
from worldplay.store.keeper import SIGN_EVERY_S, Keeper
from worldplay.store.recorder import Recorder
from worldplay.store.recordings import RecordingLimits, Recordings
from worldplay.store.store import Store
from worldplay.web.address_rates import AddressRates
from worldplay.web.connections import ConnectionLimits, Connections, plan_limits, raise_file_limit
from worldplay.web.errors import EXCEPTION_HANDLERS, ApiError
from worldplay.web.generate_video import api_routes
from worldplay.web.guarded_http import GuardedConfig, GuardedHttp
from worldplay.web.guarded_websocket import GuardedWebSocket
from worldplay.web.limits import LIMITS, AddressLimit
from worldplay.web.monitoring import Metrics
from worldplay.web.operator_metrics import OperatorMetrics
from worldplay.web.picture_decoding import PictureDecoding
from worldplay.web.recording_api import recording_routes
from worldplay.web.recording_metrics import RecordingCollector
from worldplay.web.request import address_of
from worldplay.web.returning import Returning
from worldplay.web.secured import secured
from worldplay.web.snapshot_api import snapshot_routes
from worldplay.web.snapshot_metrics import SnapshotCollector
from worldplay.web.static_page import page_route
from worldplay.web.status import status_routes
from worldplay.web.stream import Stream
from worldplay.web.streams import Streams
from worldplay.web.visits import Visits
from worldplay.web.watch_links import WatchLinks
from worldplay.web.world_server import REQUESTS_S, WorldServer
from worldplay.world.world import World

SOCKETS_RETRY_S = 5.0
CLOSE_ENGINE_S = 2.0  # for the stage in progress
CLOSE_KEEPER_S, CLOSE_RECORDER_S = 1.0, 1.0  # for what waits to be written; a disk may hang for ever
SECONDS_AN_HOUR = 3600.0
SECONDS_A_DAY = 24 * SECONDS_AN_HOUR


class Traffic(NamedTuple):
    """Everybody who is connected."""

    streams: Streams
    connections: Connections


class _App(Starlette):
    """A Starlette application that is also secured where Starlette itself answers."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(**options)
        self._settings = settings

    def build_middleware_stack(self) -> ASGIApp:
        return secured(super().build_middleware_stack(), self._settings)


def create_app(
    settings: Settings,
    world: World,
    engine: Engine,
    traffic: Traffic | None = None,
    began_s: float | None = None,
) -> Starlette:
    """Build the application around an engine. The application starts and closes the engine.

    Args:
        traffic: where the server counts connections and streams; another server counts none.
        began_s: when the process began to start, in seconds since 1970; None: now.
    """
    began_s = time() if began_s is None else began_s
    streams, connections = traffic or Traffic(Streams(), Connections(ConnectionLimits(0, 0, 0), monotonic))
    details = OperatorMetrics(engine, streams, connections)
    metrics, decoding, rates = Metrics(engine), PictureDecoding(), AddressRates()
    store = open_store(settings)
    keeper = None if store is None else Keeper(store, monotonic_ms)
    if keeper is not None:
        details.watch(SnapshotCollector(keeper))
    links = WatchLinks(settings.max_watchers, settings.max_watchers_per_walk)
    recorder = open_recorder(settings, details)
    visits = Visits(
        world, engine, metrics, store, keeper, settings.resume_s, details.count_yielded, links, recorder
    )

    # Of the clients behind a proxy, too, whose connections are all the proxy's.
    sockets = AddressLimit(settings.max_per_address, settings.max_connections, "connections")

    async def walk(websocket: WebSocket) -> None:
        with ExitStack() as held:
            try:
                held.enter_context(sockets.hold(address_of(websocket), SOCKETS_RETRY_S))
            except ApiError as error:
                await websocket.send_denial_response(error.response())
                return
            stream = Stream(websocket, settings, world, engine, metrics, decoding, rates, details, visits)
            held.enter_context(streams.enter(stream))
            await stream.run()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        returning = None
        if store is not None:
            returning = Returning(store, engine, began_s, settings.resume_s, settings.return_s)
            await returning.expect()
        async with _running(engine, visits, keeper, recorder, returning):
            yield

    routes: list[BaseRoute] = [
        *status_routes(settings, world, engine, metrics, details),
        WebSocketRoute("/ws", walk),
        *snapshot_routes(settings, world, store, visits.pace),
        *recording_routes(settings, visits, recorder),
        *api_routes(settings, world, engine, decoding, streams),
        page_route(settings.static_dir),
    ]
    return _App(settings, routes=routes, lifespan=lifespan, exception_handlers=EXCEPTION_HANDLERS)


def open_store(settings: Settings) -> Store | None:
    """Open the store of walks, unless the operator wants none. Raises: ValueError naming the setting."""
    if settings.store == "none":
        return None
    try:
        files = Files(settings.store)
    except ValueError as error:
        raise ValueError(f"setting store: {error}") from None
    return Store(
        files,
        settings.store_mb * 10**6,
        settings.keep_days * SECONDS_A_DAY,
        walks_per_address=settings.walks_per_address,
    )


def open_recorder(settings: Settings, details: OperatorMetrics) -> Recorder | None:
    """Make what records walks, unless the operator wants none."""
    if settings.recordings == "none":
        return None
    limits = RecordingLimits(
        walk_bytes=settings.recording_mb * 10**6,
        all_bytes=settings.recordings_mb * 10**6,
        keep_s=settings.recordings_h * SECONDS_AN_HOUR,
    )
    recorder = Recorder(Recordings(settings.recordings, limits))
    details.watch(RecordingCollector(recorder))
    return recorder


@asynccontextmanager
async def _running(
    engine: Engine,
    visits: Visits,
    keeper: Keeper | None,
    recorder: Recorder | None,
    returning: Returning | None,
) -> AsyncIterator[None]:
    """Run the engine in this context. At its end, write what is left of walks and recordings."""
    async with AsyncExitStack() as stack:  # what is begun last ends first
        if recorder is not None:
            recorder.start()
            stack.push_async_callback(asyncio.to_thread, recorder.close, CLOSE_RECORDER_S)
        if keeper is not None:
            stack.push_async_callback(asyncio.to_thread, keeper.close, CLOSE_KEEPER_S)
            stack.callback(asyncio.create_task(_give_signs(keeper)).cancel)
        engine.start()
        stack.push_async_callback(asyncio.to_thread, engine.close, CLOSE_ENGINE_S)
        stack.callback(visits.close)
        if returning is not None:
            await stack.enter_async_context(returning.looking())
        yield


async def _give_signs(keeper: Keeper) -> None:
    """Let walks in the store give signs of life, until this is cancelled."""
    while True:
        await asyncio.sleep(SIGN_EVERY_S)
        keeper.give_signs()


def load_app(settings: Settings) -> Starlette:
    """Load the world and build the application around it, for another ASGI server.

    Raises: ValueError or OSError saying what is wrong and what to do.
    """
    began_s = time()
    stack = ExitStack()
    atexit.register(stack.close)
    settings = fix_size(settings)
    ranks = stack.enter_context(open_ranks(settings))
    return create_app(settings, *open_engine(settings, ranks), began_s=began_s)


def create_server(
    settings: Settings, world: World, engine: Engine, began_s: float | None = None
) -> WorldServer:
    """Build the application and a uvicorn server for it; the caller passes a bound socket to `run`.

    `began_s` is as for `create_app`.
    """
    limits = plan_limits(settings.max_connections, settings.max_per_address, raise_file_limit())
    proxies = read_proxies(settings.trusted_proxies)
    traffic = Traffic(Streams(), Connections(limits, monotonic, proxies))
    config = GuardedConfig(
        create_app(settings, world, engine, traffic, began_s),
        traffic.connections,
        http=GuardedHttp,
        ws=GuardedWebSocket,
        backlog=limits.backlog,
        forwarded_allow_ips=sorted(proxies),
        ws_max_size=2 * LIMITS.message_bytes,  # up to here a frame that is too large gets an `error`
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_S,
    )
    return WorldServer(config, engine, *traffic)
