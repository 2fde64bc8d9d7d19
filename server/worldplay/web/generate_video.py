"""The HTTP API: clips on demand, made by the worker in the time that live sessions leave."""

import asyncio
import base64
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ExceptionHandler, Receive, Scope, Send

from worldplay.clips.plan import ClipError, ClipPlan, plan_clip
from worldplay.clips.writer import ChunkDone, ClipFile, Data, Failed, Finished, PassDone, Piece
from worldplay.engine.engine import Engine
from worldplay.settings import Settings
from worldplay.web.accept import prefers_video
from worldplay.web.compression import compressed
from worldplay.web.openapi import describe_api
from worldplay.web.request import (
    ApiError,
    check_headers,
    check_pose,
    check_token,
    parse_request,
    read_body,
    wish_of,
)
from worldplay.web.schemas import MAX_FRAMES, GenerateVideoRequest
from worldplay.world.world import World

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 10.0  # before any clip's time is known
READERS_PER_JOB = 4  # bodies of 16 MiB; who announces one and sends nothing keeps no clip from being made
PART_BYTES = 2**16  # of an answer in JSON: as much as the server takes before it waits for the client
_STATUS = {"out_of_memory": 503, "stopped": 503, "internal": 500, "bad_request": 422}


class _ClientGoneError(Exception):
    """Nobody waits for the answer."""


def api_routes(settings: Settings, world: World, engine: Engine) -> list[BaseRoute]:
    """The routes of the API."""
    description = json.dumps(describe_api(needs_token=settings.token is not None))

    async def describe(request: Request) -> Response:
        return Response(description, media_type="application/json")

    generate = GenerateVideo(settings, world, engine)
    return [
        Route("/openapi.json", describe, middleware=[Middleware(compressed)]),
        # With a slash too many it is not found: a redirection loses the scheme behind a proxy.
        Mount("/api", Router([Route("/generate-video", generate, methods=["POST"])], redirect_slashes=False)),
    ]


async def explain_http_error(request: Request, error: Exception) -> Response:
    """Say in JSON, under /api, what the router finds wrong; elsewhere in words."""
    assert isinstance(error, HTTPException), error
    if not request.url.path.startswith("/api/"):
        return PlainTextResponse(error.detail, error.status_code, headers=error.headers)
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    return ApiError(error.status_code, code, error.detail, dict(error.headers or {})).response()


async def explain_failure(request: Request, error: Exception) -> Response:
    """Say that it is our fault; the server logs the error after this."""
    return ApiError(500, "internal", "the server failed; its log says why").response()


EXCEPTION_HANDLERS: Mapping[Any, ExceptionHandler] = {
    HTTPException: explain_http_error,
    Exception: explain_failure,
}


class _Places:
    """Bounds how many requests may be at something at a time."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._num_taken = 0

    def check(self, retry_s: float) -> None:
        """Raises: ApiError if there is no place, with the seconds after which to try again."""
        if self._num_taken >= self._most:
            message = f"expected at most {self._most} {self._what} at a time, got one more"
            raise ApiError(503, "busy", message, {"Retry-After": str(math.ceil(retry_s))})

    @contextmanager
    def take(self, retry_s: float) -> Iterator[None]:
        """Hold a place. Raises: as `check`."""
        self.check(retry_s)
        self._num_taken += 1
        try:
            yield
        finally:
            self._num_taken -= 1


class GenerateVideo:
    """POST /api/generate-video, as an ASGI application."""

    def __init__(self, settings: Settings, world: World, engine: Engine) -> None:
        self._settings = settings
        self._world = world
        self._engine = engine
        self._reading = _Places(READERS_PER_JOB * settings.max_jobs, "requests being sent")
        self._making = _Places(settings.max_jobs, "clips")
        self._latest_s = FIRST_RETRY_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            check_token(request, self._settings.token)
            check_headers(request)
            self._making.check(self._latest_s)  # before anything is read for nothing
            with self._reading.take(self._latest_s):
                body = await read_body(request)
            with self._making.take(self._latest_s):
                asked, plan = await asyncio.to_thread(self._plan, body)
                del body
                await self._answer(request, asked, plan, send)
        except ApiError as error:
            logger.info("refused: %s", error)
            await error.response()(scope, receive, send)
        except (_ClientGoneError, ClientDisconnect):
            logger.info("a client left before its clip was finished")

    async def _answer(
        self, request: Request, asked: GenerateVideoRequest, plan: ClipPlan, send: Send
    ) -> None:
        began = time.perf_counter()
        async with self._make(request, plan) as file:
            if prefers_video(request.headers.getlist("accept")):
                await self._stream(file, plan, send)
            else:
                await self._send_in_parts(await self._collect(file, plan, asked, began), send)
        self._latest_s = time.perf_counter() - began

    def _plan(self, body: bytes) -> tuple[GenerateVideoRequest, ClipPlan]:
        asked = parse_request(body)
        try:
            plan = plan_clip(self._world, wish_of(asked), MAX_FRAMES)
        except ClipError as error:
            code = "bad_pose" if error.field == "pose" else "bad_field"
            raise ApiError(422, code, str(error)) from None
        check_pose(asked)
        return asked, plan

    @asynccontextmanager
    async def _make(self, request: Request, plan: ClipPlan) -> AsyncIterator["_Incoming"]:
        """Have a clip made for as long as the client is there."""
        loop = asyncio.get_running_loop()
        incoming = _Incoming()
        clip = ClipFile(self._world, lambda piece: _post(loop, incoming, piece))
        watch = asyncio.create_task(incoming.watch(request))
        try:
            clip.begin(self._engine, plan)
            yield incoming
        finally:
            clip.close()
            watch.cancel()

    async def _collect(
        self, file: "_Incoming", plan: ClipPlan, asked: GenerateVideoRequest, began: float
    ) -> Response:
        data = b"".join([part async for part in file.parts()])

        def encode() -> Response:
            return JSONResponse(
                {
                    "video_base64": base64.b64encode(data).decode(),
                    "prompt": asked.prompt,
                    "num_frames": plan.num_frames,
                    "pose": plan.pose,
                    "generation_time_seconds": round(time.perf_counter() - began, 3),
                },
                headers=_headers(plan),
            )

        return await asyncio.to_thread(encode)

    async def _stream(self, file: "_Incoming", plan: ClipPlan, send: Send) -> None:
        """Send the file as it grows. If it fails half-way, the answer just ends without its end."""
        parts = file.parts()
        first = await anext(parts)  # what fails before it becomes an error that can be read
        headers = [(b"content-type", b"video/mp4"), (b"cache-control", b"no-store")]
        headers += [(name.lower().encode(), value.encode()) for name, value in _headers(plan).items()]
        await self._begin(send, headers)
        try:
            await self._send_part(send, first)
            async for part in parts:
                await self._send_part(send, part)
        except ApiError as error:
            logger.warning("a clip ended before its end: %s", error)
            return
        await self._end(send)

    async def _send_in_parts(self, response: Response, send: Send) -> None:
        """Send what is finished; a body in one piece would be taken at once, read or not."""
        await self._begin(send, response.raw_headers)
        for start in range(0, len(response.body), PART_BYTES):
            await self._send_part(send, bytes(response.body[start : start + PART_BYTES]))
        await self._end(send)

    async def _begin(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        await self._send_in_time(send({"type": "http.response.start", "status": 200, "headers": headers}))

    async def _end(self, send: Send) -> None:
        """The client has read all but the last few parts."""
        await self._send_in_time(send({"type": "http.response.body", "body": b"", "more_body": False}))

    async def _send_part(self, send: Send, part: bytes) -> None:
        await self._send_in_time(send({"type": "http.response.body", "body": part, "more_body": True}))

    async def _send_in_time(self, sending: Awaitable[None]) -> None:
        """Give up on a client that does not read."""
        try:
            await asyncio.wait_for(sending, self._settings.send_timeout_s)
        except (asyncio.TimeoutError, OSError):
            raise _ClientGoneError from None


@dataclass(frozen=True, slots=True)
class _Gone:
    """The client has left."""


class _Incoming:
    """A clip's pieces on the event loop, beside the news that nobody wants them any more."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Piece | _Gone] = asyncio.Queue()

    async def watch(self, request: Request) -> None:
        """Wait until the client leaves."""
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self.queue.put_nowait(_Gone())

    async def parts(self) -> AsyncIterator[bytes]:
        """The file, part by part. Raises: ApiError if it cannot be made, _ClientGoneError."""
        while True:
            match await self.queue.get():
                case Data(data):
                    yield data
                case PassDone() | ChunkDone():
                    pass
                case Finished():
                    return
                case Failed(code, message):
                    code = "bad_field" if code == "bad_request" else code
                    raise ApiError(_STATUS.get(code, 422), code, message)
                case _Gone():
                    raise _ClientGoneError


def _post(loop: asyncio.AbstractEventLoop, incoming: _Incoming, piece: Piece) -> None:
    try:
        loop.call_soon_threadsafe(incoming.queue.put_nowait, piece)
    except RuntimeError:  # the loop has ended with the server
        logger.debug("a piece of a clip came after the server's end")


def _headers(plan: ClipPlan) -> dict[str, str]:
    return {"X-Seed": str(plan.seed)}
