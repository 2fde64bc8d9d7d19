"""The HTTP API of recordings: a session's video so far, or as it was, and its walk."""

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from weakref import WeakValueDictionary

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from worldplay.media.seekable import Chapter, SeekableFile, make_seekable
from worldplay.settings import Settings
from worldplay.store.about import hash_key
from worldplay.store.errors import MissingRecordingError
from worldplay.store.recorder import Recorder
from worldplay.store.recordings import Recorded, Recordings
from worldplay.web.answer import PART_BYTES, Answer, ClientGoneError
from worldplay.web.byte_ranges import UnsatisfiableError, read_range
from worldplay.web.errors import ApiError, busy
from worldplay.web.limits import AddressLimit
from worldplay.web.recording_links import NOT_REVOKED, SHARE_PARAMETER, check_password
from worldplay.web.request import address_of, check_token
from worldplay.web.routes import OwnRoute
from worldplay.web.snapshots import STORE_FAILS
from worldplay.web.visits import Visits

logger = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[Request, Answer], Awaitable[None]]

SECRET_HEADER = "x-session-secret"
MISSING = (
    "expected a session that is recorded here, and its secret in the header `X-Session-Secret`, "
    "or a link to its recording"
)
LOOK_EVERY_S = 0.02  # whether a recording is finished
SYNC_S = 2.0  # for what was sent to be on disk; after that the answer has what is there
MAX_ANSWERS = 4  # of one session at a time: players ask for several parts
MAX_LINK_ANSWERS = 16  # to those who have a link to its recording, all together
# A browser plays the file in a page of its own making.
LINK_POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
MAX_REQUESTS, MAX_REQUESTS_EACH = 64, 16  # in progress, and of one address; each holds 64 KiB or a walk
MAX_READS = 4  # at a time, on threads of their own: they hang if the disk does
MAX_READS_EACH = 2  # of one address: a long walk takes two seconds to describe
RETRY_S = 5.0


def recording_routes(settings: Settings, visits: Visits, recorder: Recorder | None) -> list[BaseRoute]:
    """The routes of recordings; none if nothing is recorded."""
    if recorder is None:
        return []
    api = RecordingApi(settings, visits, recorder.recordings)
    handlers = {
        "recording.mp4": ("GET", api.send_video),
        "walk.json": ("GET", api.send_walk),
        "recording-link": ("DELETE", api.revoke_link),
    }
    requests = AddressLimit(MAX_REQUESTS_EACH, MAX_REQUESTS, "requests for recordings")
    routes: list[BaseRoute] = []
    for name, (method, handler) in handlers.items():
        endpoint = RecordingEndpoint(handler, settings, requests)
        routes.append(OwnRoute(f"/api/sessions/{{id}}/{name}", endpoint, methods=[method]))
    return routes


class RecordingEndpoint:
    """An ASGI application that answers with what a handler sends, or with the error that it raises."""

    def __init__(self, handler: Handler, settings: Settings, requests: AddressLimit) -> None:
        self._handler = handler
        self._requests = requests
        self._timeout_s = settings.send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            with self._requests.hold(address_of(request), RETRY_S):
                await self._handler(request, Answer(send, self._timeout_s))
        except ApiError as error:
            await error.response()(scope, receive, send)
        except (ClientGoneError, ClientDisconnect):
            logger.info("a client left before it had its recording")


@dataclass(frozen=True, slots=True)
class Access:
    """What a request may have: what a session has recorded."""

    id: str
    address: str  # of the client
    walk: str | None = None  # only this walk, because it came by a link

    def check(self, walk: str) -> None:
        """Check the walk that was found. Raises: MissingRecordingError if it may not be shown."""
        if self.walk not in (None, walk):
            raise MissingRecordingError


class RecordingApi:
    """The endpoints. Only who has a session's secret, or a link, learns whether it has a recording."""

    def __init__(self, settings: Settings, visits: Visits, recordings: Recordings) -> None:
        self._settings = settings
        self._visits = visits
        self._recordings = recordings
        self._threads = CapacityLimiter(MAX_READS)
        self._permits: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()  # by address
        self._answers: Counter[tuple[str, bool]] = Counter()  # in progress, by session, and whether by a link

    async def send_video(self, request: Request, answer: Answer) -> None:
        """Send the video, or a part of it. Of a walk in progress it has what was sent so far."""
        access = await self._check(request)
        with self._hold(access):
            await self._wait_written(access.id)
            recorded, file = await self._read(access.address, self._open, access)
            status, headers, wanted = _plan(request, recorded, file, is_link=access.walk is not None)
            await answer.begin(headers, status)
            if request.method == "HEAD" or await self._send_parts(answer, access, recorded, file, wanted):
                await answer.end()

    async def _wait_written(self, id: str) -> None:
        """Wait until what was sent is on disk, also if the visit has just ended. The disk may hang."""
        if (recording := self._visits.recording_of(id)) is not None:
            await recording.sync(SYNC_S)
            return
        for _ in range(round(SYNC_S / LOOK_EVERY_S)):
            if id not in self._recordings.active:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def send_walk(self, request: Request, answer: Answer) -> None:
        """Send the walk so far, or as it was in the end."""
        access = await self._check(request)
        self._visits.pace.check(access.address)
        with self._hold(access):
            recording = self._visits.recording_of(access.id)
            data = None
            if recording is None:
                await self._wait_written(access.id)
            else:
                describe = self._visits.pace.counted(access.address, recording.describe)
                data = await self._read(access.address, describe, access.walk)
            if data is None:
                data = await self._find_walk(access)
            await answer.begin(_encode(_headers("application/json", "walk.json", len(data))))
            if request.method != "HEAD":
                for start in range(0, len(data), PART_BYTES):
                    await answer.send_part(data[start : start + PART_BYTES])
            await answer.end()

    async def revoke_link(self, request: Request, answer: Answer) -> None:
        """Let the link to a recording work no more, also after its session."""
        access = await self._check(request)
        if access.walk is not None:  # who has only the link
            raise ApiError(404, "not_found", MISSING)
        recording = self._visits.recording_of(access.id)
        if recording is None and access.id not in self._recordings.active:
            self._recordings.revoke(access.id)
            await self._read(access.address, self._recordings.unlink, access.id)
        elif recording is None or not await recording.wait_revoked():
            raise busy(NOT_REVOKED, 5)
        await answer.begin([], 204)
        await answer.end()

    def _open(self, access: Access) -> tuple[Recorded, SeekableFile]:
        recorded = self._recordings.find(access.id)
        access.check(recorded.about.walk)
        chapters = [Chapter(mark.frame, mark.title) for mark in recorded.about.chapters]
        return recorded, make_seekable(recorded.init, recorded.index, chapters)

    async def _check(self, request: Request) -> Access:
        """Return what a request may have.

        Raises: ApiError, the same for an unknown session, a wrong secret, and a link that does not work.
        """
        id: str = request.path_params["id"]
        address = address_of(request)
        if (link := request.query_params.get(SHARE_PARAMETER)) is not None:
            check_password(request, self._settings.token)
            walk = await self._read(address, self._recordings.linked_walk, id, hash_key(link))
            return Access(id, address, walk)
        check_token(request, self._settings.token)
        secret = request.headers.get(SECRET_HEADER, "")
        owns = self._visits.is_secret(id, secret)
        if owns is None:
            owns = await self._read(address, self._owns, id, secret)
        if not owns:
            raise ApiError(404, "not_found", MISSING)
        return Access(id, address)

    def _owns(self, id: str, secret: str) -> bool:
        """Return whether a secret is that of a session that has ended, and has left a recording or a walk."""
        try:
            return hmac.compare_digest(self._recordings.about(id).key, hash_key(secret))
        except MissingRecordingError:
            return self._visits.owns_stored(id, secret)

    async def _find_walk(self, access: Access) -> bytes:
        """Read a walk that has ended. After a crash it was not written, but the store may have it."""
        try:
            return await self._read(access.address, self._read_walk, access)
        except ApiError as error:
            stored = await self._read_stored(access)
            if stored is None:
                raise error from None
            return stored

    async def _read_stored(self, access: Access) -> bytes | None:
        try:
            describe = partial(self._visits.describe_stored, access.id, access.walk)
            return await self._visits.read(
                access.address, self._visits.pace.counted(access.address, describe)
            )
        except OSError as error:
            logger.warning("a walk could not be read: %s", error)
            raise busy(STORE_FAILS, 10) from None

    def _read_walk(self, access: Access) -> bytes:
        data = self._recordings.read_walk(access.id)
        access.check(self._recordings.about(access.id).walk)  # afterwards: another walk may have begun
        return data

    @contextmanager
    def _hold(self, access: Access) -> Iterator[None]:
        """Count an answer, and keep its recording meanwhile. Raises: ApiError if there are too many."""
        who = access.id, access.walk is not None
        most = MAX_ANSWERS if access.walk is None else MAX_LINK_ANSWERS
        if self._answers[who] >= most:
            message = f"at most {most} answers about one recording at a time: try again later"
            raise busy(message, 5)
        self._answers[who] += 1
        try:
            with self._recordings.held(access.id):
                yield
        finally:
            self._answers[who] -= 1
            if not self._answers[who]:
                del self._answers[who]

    async def _send_parts(
        self, answer: Answer, access: Access, recorded: Recorded, file: SeekableFile, wanted: range
    ) -> bool:
        """Send the body. Returns: whether all of it was sent; if not, the client must notice."""
        try:
            async for part in self._parts(access, recorded, file, wanted):
                await answer.send_part(part)
        except ApiError as error:  # too late for an error response
            logger.info("a download ended half-way: %s", error)
            return False
        return True

    async def _parts(
        self, access: Access, recorded: Recorded, file: SeekableFile, wanted: range
    ) -> AsyncIterator[bytes]:
        read = partial(self._read, access.address, self._recordings.read, recorded)
        for start in range(wanted.start, wanted.stop, PART_BYTES):
            stop = min(start + PART_BYTES, wanted.stop)
            for piece in file.pieces(start, stop):
                if isinstance(piece, bytes):
                    yield piece
                else:
                    yield await read(piece.start, len(piece))

    async def _read(self, address: str, function: Callable[..., T], *arguments: object) -> T:
        """Call a function on a thread, for a client with this address.

        Raises: ApiError if there is no such recording, or the disk fails.
        """
        try:
            async with self._permits.setdefault(address, asyncio.Semaphore(MAX_READS_EACH)):
                return await run_sync(function, *arguments, limiter=self._threads)
        except MissingRecordingError:
            raise ApiError(404, "not_found", MISSING) from None
        except OSError as error:
            logger.warning("a recording could not be read: %s", error)
            raise ApiError(500, "internal", "the recording could not be read") from None


def _plan(
    request: Request, recorded: Recorded, file: SeekableFile, *, is_link: bool
) -> tuple[int, list[tuple[bytes, bytes]], range]:
    """Decide what to send. Returns: status, headers, and the bytes of the file.

    Args:
        is_link: a browser may open it in a tab.
    """
    version = f'"{recorded.about.take}-{recorded.index.num_frames}-{len(recorded.about.chapters)}"'
    common = {"accept-ranges": "bytes", "etag": version}
    part = None
    if request.method == "GET" and request.headers.get("if-range", version) == version:
        try:
            part = read_range(request.headers.get("range"), file.num_bytes)
        except UnsatisfiableError:
            whole = {"Content-Range": f"bytes */{file.num_bytes}"}
            message = f"expected a range that begins before byte {file.num_bytes}"
            raise ApiError(416, "bad_range", message, whole) from None
    wanted = part or range(file.num_bytes)
    headers = {**_headers("video/mp4", "walk.mp4", len(wanted)), **common}
    if is_link:
        headers["content-disposition"] = 'inline; filename="walk.mp4"'
        headers["content-security-policy"] = LINK_POLICY
    if part is None:
        return 200, _encode(headers), wanted
    headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{file.num_bytes}"
    return 206, _encode(headers), wanted


def _headers(kind: str, name: str, num_bytes: int) -> dict[str, str]:
    return {
        "content-type": kind,
        "content-length": str(num_bytes),
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
    }


def _encode(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
