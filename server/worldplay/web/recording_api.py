"""The HTTP API of recordings: a session's video so far, or as it was, and its walk."""

import hmac
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from worldplay.media.seekable import Chapter, SeekableFile, make_seekable
from worldplay.settings import Settings
from worldplay.store.recorder import Recorder
from worldplay.store.recordings import MissingRecordingError, Recorded, Recordings
from worldplay.store.store import hash_key
from worldplay.web.answer import Answer, ClientGoneError
from worldplay.web.byte_ranges import UnsatisfiableError, read_range
from worldplay.web.errors import ApiError
from worldplay.web.request import check_token
from worldplay.web.routes import OwnRoute
from worldplay.web.visits import Visits

logger = logging.getLogger(__name__)

T = TypeVar("T")
Handler = Callable[[Request, Answer], Awaitable[None]]

SECRET_HEADER = "x-session-secret"
MISSING = "expected a session that is recorded here, and its secret in the header `X-Session-Secret`"
SYNC_S = 2.0  # for what was sent to be on disk; after that the answer has what is there
PART_BYTES = 2**16
MAX_ANSWERS = 4  # of one session at a time: players ask for several parts
MAX_READS = 4  # at a time, on threads of their own: they hang if the disk does


def recording_routes(settings: Settings, visits: Visits, recorder: Recorder | None) -> list[BaseRoute]:
    """The routes of recordings; none if nothing is recorded."""
    if recorder is None:
        return []
    api = RecordingApi(settings, visits, recorder.recordings)
    handlers = {"recording.mp4": api.send_video, "walk.json": api.send_walk}
    return [
        OwnRoute(f"/api/sessions/{{id}}/{name}", Endpoint(handler, settings), methods=["GET"])
        for name, handler in handlers.items()
    ]


class Endpoint:
    """An ASGI application that answers with what a handler sends, or with the error that it raises."""

    def __init__(self, handler: Handler, settings: Settings) -> None:
        self._handler = handler
        self._timeout_s = settings.send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._handler(Request(scope, receive), Answer(send, self._timeout_s))
        except ApiError as error:
            await error.response()(scope, receive, send)
        except (ClientGoneError, ClientDisconnect):
            logger.info("a client left before it had its recording")


class RecordingApi:
    """The endpoints. Only who has a session's secret learns whether it has a recording."""

    def __init__(self, settings: Settings, visits: Visits, recordings: Recordings) -> None:
        self._settings = settings
        self._visits = visits
        self._recordings = recordings
        self._threads = CapacityLimiter(MAX_READS)
        self._answers: Counter[str] = Counter()  # in progress, by session

    async def send_video(self, request: Request, answer: Answer) -> None:
        """Send the video, or a part of it. Of a walk in progress it has what was sent so far."""
        id = await self._check(request)
        with self._hold(id), self._recordings.held(id):
            if (recording := self._visits.recording_of(id)) is not None:
                await recording.sync(SYNC_S)
            recorded, file = await self._read(self._open, id)
            status, headers, wanted = _plan(request, recorded, file)
            await answer.begin(headers, status)
            if request.method == "HEAD" or await self._send_parts(answer, recorded, file, wanted):
                await answer.end()

    async def send_walk(self, request: Request, answer: Answer) -> None:
        """Send the walk so far, or as it was in the end."""
        id = await self._check(request)
        with self._hold(id), self._recordings.held(id):
            recording = self._visits.recording_of(id)
            data = None if recording is None else await self._read(recording.describe)
            if data is None:
                data = await self._read_walk(id)
            await answer.begin(_encode(_headers("application/json", "walk.json", len(data))))
            if request.method != "HEAD":
                for start in range(0, len(data), PART_BYTES):
                    await answer.send_part(data[start : start + PART_BYTES])
            await answer.end()

    def _open(self, id: str) -> tuple[Recorded, SeekableFile]:
        recorded = self._recordings.find(id)
        chapters = [Chapter(mark.frame, mark.title) for mark in recorded.about.chapters]
        return recorded, make_seekable(recorded.init, recorded.index, chapters)

    async def _check(self, request: Request) -> str:
        """Return the session's id. Raises: ApiError, the same for an unknown session and a wrong secret."""
        check_token(request, self._settings.token)
        id: str = request.path_params["id"]
        secret = request.headers.get(SECRET_HEADER, "")
        owns = self._visits.is_secret(id, secret)
        if owns is None:
            owns = await self._read(self._owns, id, secret)
        if not owns:
            raise ApiError(404, "not_found", MISSING)
        return id

    def _owns(self, id: str, secret: str) -> bool:
        """Return whether a secret is that of a session that has ended, and has left a recording or a walk."""
        try:
            return hmac.compare_digest(self._recordings.about(id).key, hash_key(secret))
        except MissingRecordingError:
            return self._visits.owns_stored(id, secret)

    async def _read_walk(self, id: str) -> bytes:
        """Read a walk that has ended. After a crash it was not written, but the store may have it."""
        try:
            return await self._read(self._recordings.read_walk, id)
        except ApiError as error:
            stored = await self._visits.read(partial(self._visits.describe_stored, id))
            if stored is None:
                raise error from None
            return stored

    @contextmanager
    def _hold(self, id: str) -> Iterator[None]:
        if self._answers[id] >= MAX_ANSWERS:
            message = f"at most {MAX_ANSWERS} answers about one recording at a time: try again later"
            raise ApiError(503, "busy", message, {"Retry-After": "5"})
        self._answers[id] += 1
        try:
            yield
        finally:
            self._answers[id] -= 1
            if not self._answers[id]:
                del self._answers[id]

    async def _send_parts(
        self, answer: Answer, recorded: Recorded, file: SeekableFile, wanted: range
    ) -> bool:
        """Send the body. Returns: whether all of it was sent; if not, the client must notice."""
        try:
            async for part in self._parts(recorded, file, wanted):
                await answer.send_part(part)
        except ApiError as error:  # too late for an error response
            logger.info("a download ended half-way: %s", error)
            return False
        return True

    async def _parts(self, recorded: Recorded, file: SeekableFile, wanted: range) -> AsyncIterator[bytes]:
        for start in range(wanted.start, wanted.stop, PART_BYTES):
            stop = min(start + PART_BYTES, wanted.stop)
            for piece in file.pieces(start, stop):
                if isinstance(piece, bytes):
                    yield piece
                else:
                    yield await self._read(self._recordings.read, recorded, piece.start, len(piece))

    async def _read(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function on a thread. Raises: ApiError if there is no such recording, or the disk fails."""
        try:
            return await run_sync(function, *arguments, limiter=self._threads)
        except MissingRecordingError:
            raise ApiError(404, "not_found", MISSING) from None
        except OSError as error:
            logger.warning("a recording could not be read: %s", error)
            raise ApiError(500, "internal", "the recording could not be read") from None


def _plan(
    request: Request, recorded: Recorded, file: SeekableFile
) -> tuple[int, list[tuple[bytes, bytes]], range]:
    """Decide what to send. Returns: status, headers, and the bytes of the file."""
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
