"""POST /api/generate-video: clips on demand, made in the time that live sessions leave."""

import asyncio
import base64
import json
import logging
import time

from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from worldplay.clips.plan import ClipError, ClipPlan, plan_clip
from worldplay.engine.engine import Engine
from worldplay.settings import Settings
from worldplay.web.accept import prefers_video
from worldplay.web.answer import Answer, ClientGoneError
from worldplay.web.clip_pieces import ClipPieces
from worldplay.web.compression import compressed
from worldplay.web.errors import ApiError, busy
from worldplay.web.limits import RequestLimit
from worldplay.web.openapi import describe_api
from worldplay.web.picture_decoding import PictureDecoding, PicturesFullError
from worldplay.web.request import (
    BodyBudget,
    address_of,
    check_headers,
    check_operator,
    check_pose,
    check_token,
    parse_request,
    read_body,
    read_options,
)
from worldplay.web.routes import OwnRoute
from worldplay.web.schemas import MAX_FRAMES, SessionList
from worldplay.web.streams import Streams
from worldplay.wording import without_values
from worldplay.world.memory import is_memory_short
from worldplay.world.world import World

logger = logging.getLogger(__name__)

FIRST_RETRY_S = 10.0  # before any clip's time is known


def api_routes(
    settings: Settings, world: World, engine: Engine, decoding: PictureDecoding, streams: Streams
) -> list[BaseRoute]:
    """The routes of the API."""
    description = json.dumps(describe_api(settings))

    async def describe(request: Request) -> Response:
        return Response(description, media_type="application/json")

    async def list_sessions(request: Request) -> Response:
        try:
            check_operator(request, settings.token)
        except ApiError as error:
            return error.response()
        body = SessionList(sessions=streams.describe())
        return Response(body.model_dump_json(), media_type="application/json")

    generate = GenerateVideo(settings, world, engine, decoding)
    routes = [
        Route("/generate-video", generate, methods=["POST"]),
        Route("/sessions", list_sessions, methods=["GET"]),
    ]
    return [
        OwnRoute("/openapi.json", describe, middleware=[Middleware(compressed)]),
        # A trailing slash gets 404, not a redirect: behind a proxy a redirect would lose the scheme.
        Mount("/api", Router(routes, redirect_slashes=False)),
    ]


class GenerateVideo:
    """The endpoint, as an ASGI application."""

    def __init__(self, settings: Settings, world: World, engine: Engine, decoding: PictureDecoding) -> None:
        self._decoding = decoding
        self._settings = settings
        self._world = world
        self._engine = engine
        self._bodies = BodyBudget()
        self._making = RequestLimit(settings.max_jobs, "clips")
        self._latest_s = FIRST_RETRY_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            check_token(request, self._settings.token)
            check_headers(request)
            self._making.check(self._latest_s)  # before the body is read
            if is_memory_short():
                raise busy("the server is short of memory", 30)
            body = await read_body(request, self._bodies)
            with self._making.hold(self._latest_s):
                plan = await self._decode(request, body)
                del body
                await self._answer(request, plan, send)
        except ApiError as error:
            logger.info("refused: %s", without_values(str(error)))
            await error.response()(scope, receive, send)
        except (ClientGoneError, ClientDisconnect):
            logger.info("a client left before its clip was finished")

    async def _decode(self, request: Request, body: bytes) -> ClipPlan:
        try:
            return await self._decoding.run(address_of(request), self._plan, body)
        except PicturesFullError:
            raise busy("too many pictures wait to be read: try again later", 5) from None

    def _plan(self, body: bytes) -> ClipPlan:
        asked = parse_request(body)
        try:
            plan = plan_clip(self._world, read_options(asked), MAX_FRAMES)
        except ClipError as error:
            code = "bad_pose" if error.field == "pose" else "bad_field"
            raise ApiError(422, code, str(error)) from None
        check_pose(asked)
        return plan

    async def _answer(self, request: Request, plan: ClipPlan, send: Send) -> None:
        began = time.perf_counter()
        pieces, answer = ClipPieces(), Answer(send, self._settings.send_timeout_s)
        with pieces.make(self._world, self._engine, plan, request):
            if prefers_video(request.headers.getlist("accept")):
                await _stream(pieces, plan, answer)
            else:
                await answer.send_whole(await _collect(pieces, plan, began))
        self._latest_s = time.perf_counter() - began


async def _stream(pieces: ClipPieces, plan: ClipPlan, answer: Answer) -> None:
    """Send the file as it grows. If the clip fails half-way, the terminating HTTP chunk is not sent."""
    parts = pieces.parts()
    first = await anext(parts)  # a failure before it still gets an error status
    headers = {"content-type": "video/mp4", "cache-control": "no-store", **_headers(plan)}
    await answer.begin([(name.lower().encode(), value.encode()) for name, value in headers.items()])
    try:
        await answer.send_part(first)
        async for part in parts:
            await answer.send_part(part)
    except ApiError as error:
        logger.warning("a clip failed half-way: %s", error)
        return
    await answer.end()


async def _collect(pieces: ClipPieces, plan: ClipPlan, began: float) -> Response:
    data = b"".join([part async for part in pieces.parts()])
    time_s = round(time.perf_counter() - began, 3)
    return await asyncio.to_thread(_describe, data, plan, time_s)  # encoding minutes of video takes a while


def _describe(data: bytes, plan: ClipPlan, time_s: float) -> Response:
    content = {
        "video_base64": base64.b64encode(data).decode(),
        "prompt": plan.request.walk.prompt,
        "num_frames": plan.num_frames,
        "pose": plan.pose,
        "generation_time_seconds": time_s,
    }
    return JSONResponse(content, headers=_headers(plan))


def _headers(plan: ClipPlan) -> dict[str, str]:
    headers = {"X-Seed": str(plan.seed)}
    if plan.num_unused_poses:
        headers["X-Unused-Poses"] = str(plan.num_unused_poses)
    return headers
