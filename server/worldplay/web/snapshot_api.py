"""The HTTP API of kept walks: list, download, upload and delete them; and links that open one."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Router

from worldplay.settings import Settings
from worldplay.store.about import MAX_NAME_CHARS, About
from worldplay.store.errors import MissingWalkError, OwnerFullError, StoreFullError, without_path
from worldplay.store.store import Store
from worldplay.web.disk_threads import DiskThreads
from worldplay.web.errors import ApiError, busy
from worldplay.web.kept_download import FILE_TYPE, KeptDownload
from worldplay.web.limits import AddressLimit, RequestLimit
from worldplay.web.request import BodyBudget, address_of, check_token, check_type, receive
from worldplay.web.routes import Endpoint, OwnRoute, route_by_method
from worldplay.web.schemas import NewSnapshot, SnapshotInfo, SnapshotList
from worldplay.web.snapshots import DAMAGED, FULL, MISSING, OWNER_FULL, STORE_FAILS
from worldplay.web.work_pace import WorkPace
from worldplay.world.memory import is_memory_short
from worldplay.world.snapshot import Snapshot
from worldplay.world.snapshot_reader import read_snapshot
from worldplay.world.world import World

logger = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 2**28  # seven minutes at 480x832, three hours of the embedded world
UPLOAD_TIMEOUT_S = 120.0
MAX_TRANSFERS = 2  # at a time: each may hold MAX_UPLOAD_BYTES in memory, twice
TRANSFER_PATIENCE_S = 60.0  # for the store to read or write such a file
COPIES = 3  # of a file, which are in memory beside it while it is checked and kept
MAX_REQUESTS, MAX_REQUESTS_EACH = 32, 4  # in progress: in all, and of one address
MAX_LOOKS = 2  # small requests that use the store at a time
RETRY_S = 10.0
KEY_HEADER = "x-walk-key"
MIN_KEY_CHARS, MAX_KEY_CHARS = 16, 512


def snapshot_routes(settings: Settings, world: World, store: Store | None, pace: WorkPace) -> list[BaseRoute]:
    """The routes of kept walks; none if the server keeps none."""
    if store is None:
        return []
    api = SnapshotApi(settings, world, store, pace)
    routes = [
        route_by_method("/", {"GET": api.limited(api.list_kept), "POST": _explained(api.upload)}),
        route_by_method("/{id}", {"GET": api.limited(api.download), "DELETE": api.limited(api.delete)}),
    ]
    return [
        Mount("/api/snapshots", Router(routes, redirect_slashes=False)),
        OwnRoute("/w/{id}", api.limited(api.open_link)),
    ]


class SnapshotApi:
    """The endpoints. A walk's id lets anybody open and download it; only its owner's key deletes it."""

    def __init__(self, settings: Settings, world: World, store: Store, pace: WorkPace) -> None:
        self._settings = settings
        self._world = world
        self._store = store
        self._uploads = BodyBudget(2 * MAX_UPLOAD_BYTES, MAX_UPLOAD_BYTES)
        self._requests = AddressLimit(MAX_REQUESTS_EACH, MAX_REQUESTS, "requests for walks")
        self._downloads = AddressLimit(MAX_REQUESTS_EACH, MAX_REQUESTS, "walks that are sent")
        self._looks, self._files = DiskThreads(MAX_LOOKS), DiskThreads(MAX_TRANSFERS)
        self._transfers = RequestLimit(MAX_TRANSFERS, "walks are sent or received")
        self._pace = pace

    def limited(self, endpoint: Endpoint) -> Endpoint:
        """Bound how many requests of one address use an endpoint at a time."""

        async def answer(request: Request) -> Response:
            with self._requests.hold(address_of(request), RETRY_S):
                return await endpoint(request)

        return _explained(answer)

    async def list_kept(self, request: Request) -> Response:
        """List the walks of a key's owner."""
        check_token(request, self._settings.token)
        key = _read_key(request)
        found = await self._looks.run(address_of(request), self._store.list_kept, key)
        body = SnapshotList(snapshots=[_describe(id, about) for id, about in found])
        return JSONResponse(body.model_dump())

    async def download(self, request: Request) -> Response:
        """Send a walk as a file."""
        check_token(request, self._settings.token)
        id, address = request.path_params["id"], address_of(request)
        self._pace.check(address)
        with self._transfers.hold(RETRY_S):
            check = self._pace.counted(address, self._open_file)
            num_bytes, read = await self._files.run(address, check, id, patience_s=TRANSFER_PATIENCE_S)
        held = ExitStack()
        held.enter_context(self._downloads.hold(address, RETRY_S))
        read_part = partial(self._looks.run, address, read)
        return KeptDownload(num_bytes, read_part, self._settings.send_timeout_s, held)

    async def upload(self, request: Request) -> Response:
        """Keep a walk that somebody sends, after checking all of it."""
        check_token(request, self._settings.token)
        key, name = _read_key(request), request.query_params.get("name", "")
        if len(name) > MAX_NAME_CHARS:
            raise ApiError(422, "bad_field", f"name: expected at most {MAX_NAME_CHARS} characters")
        address = address_of(request)
        self._pace.check(address)  # before the file is received
        self._transfers.check(RETRY_S)
        _check_memory(0)
        data = await _read_file(request, self._uploads)
        with self._transfers.hold(RETRY_S):
            _check_memory(len(data))
            keep = self._pace.counted(address, self._keep)
            id, snapshot = await self._files.run(
                address, keep, key, name, data, address, patience_s=TRANSFER_PATIENCE_S
            )
        body = NewSnapshot(id=id, name=name, chunks=snapshot.num_chunks)
        return JSONResponse(body.model_dump(), 201)

    async def delete(self, request: Request) -> Response:
        """Remove a walk of a key's owner."""
        check_token(request, self._settings.token)
        key = _read_key(request)
        await self._looks.run(address_of(request), self._delete, request.path_params["id"], key)
        return Response(status_code=204)

    async def open_link(self, request: Request) -> Response:
        """Send a visitor with a link to the page. Its fragment names the walk, and is never sent on."""
        id = request.path_params["id"]
        try:
            about = await self._looks.run(address_of(request), self._store.about, id)
        except MissingWalkError:
            return PlainTextResponse("This walk is not kept here, or no longer.", 404)
        if about.kind != "kept":
            return PlainTextResponse("This walk is not kept here, or no longer.", 404)
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return RedirectResponse(f"../#walk={id}", 303, headers)

    def _open_file(self, id: str) -> tuple[int, Callable[[int, int], bytes]]:
        """Return the size of a walk's file, and what reads a part of it."""
        try:
            if self._store.about(id).kind != "kept":
                raise MissingWalkError
            num_bytes, read = self._store.open_kept(id)
            _check_memory(num_bytes)
            self._store.load(id)  # checks it
            return num_bytes, read
        except MissingWalkError:
            raise ApiError(404, "not_found", MISSING) from None
        except ValueError as error:
            logger.warning("a walk that is kept is damaged: %s", error)
            raise ApiError(404, "not_found", DAMAGED) from None

    def _keep(self, key: str, name: str, data: bytes, address: str) -> tuple[str, Snapshot]:
        try:
            snapshot = read_snapshot(data)
            self._world.check_snapshot(snapshot)
        except ValueError as error:
            raise ApiError(422, "bad_snapshot", str(error)) from None
        try:
            return self._store.keep(key, name, snapshot, address), snapshot
        except OwnerFullError:
            raise ApiError(507, "store_full", OWNER_FULL) from None
        except StoreFullError:
            raise ApiError(507, "store_full", FULL) from None

    def _delete(self, id: str, key: str) -> None:
        try:
            about = self._store.about(id)
            if about.kind != "kept" or not self._store.owns(id, key):
                raise MissingWalkError  # who may not delete it need not know that it is there
            self._store.delete(id)
        except MissingWalkError:
            raise ApiError(404, "not_found", MISSING) from None


def _describe(id: str, about: About) -> SnapshotInfo:
    return SnapshotInfo(id=id, name=about.name, chunks=about.chunks, created=about.created_s)


def _read_key(request: Request) -> str:
    key = request.headers.get(KEY_HEADER, "")
    if not MIN_KEY_CHARS <= len(key) <= MAX_KEY_CHARS:
        expected = f"the header `X-Walk-Key` with {MIN_KEY_CHARS} to {MAX_KEY_CHARS} characters"
        raise ApiError(422, "bad_field", f"expected {expected}, got {len(key)}")
    return key


def _check_memory(num_bytes: int) -> None:
    """Check that there is memory for what is made of a file. Raises: ApiError."""
    if is_memory_short(COPIES * num_bytes):
        raise busy("the server is short of memory", 30)


async def _read_file(request: Request, uploads: BodyBudget) -> bytes:
    check_type(request, FILE_TYPE)
    return await receive(request, uploads, MAX_UPLOAD_BYTES, UPLOAD_TIMEOUT_S)


def _explained(endpoint: Endpoint) -> Endpoint:
    """Answer with the error that an endpoint raises."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ApiError as error:
            return error.response()
        except OSError as error:
            logger.warning("the store of walks fails: %s", without_path(error))
            return busy(STORE_FAILS, RETRY_S).response()

    return answer
