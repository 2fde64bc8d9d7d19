"""A server that speaks the protocol, streams real video without a model, and fails as a test tells it to."""

import asyncio
import io
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TypeVar

import numpy as np
import uvicorn
from numpy.typing import NDArray
from PIL import Image
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from support.pictures import HEIGHT, WIDTH, flat
from support.serving import running
from worldplay.media.track import VideoTrack
from worldplay.protocol import messages as m
from worldplay.protocol.connection import ServerConnection
from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.settings import load_settings
from worldplay.web.address import listen
from worldplay.web.limits import LIMITS

FPS = 24
Asked = TypeVar("Asked", bound=m.ClientMessage)


def now_ms() -> float:
    return time.monotonic() * 1000.0


class ScriptedServer:
    """How it answers, which a test may change at any time, and what it was asked."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.at_hello: Literal["welcome", "silence"] = "welcome"
        self.at_start: Literal["walk", "queue", "refuse", "busy"] = "walk"
        self.times_real_time: float | None = None  # told in the welcome
        self.missing_chunks: int | None = None  # told in the welcome
        self.taken_as: str | None = None  # title of the suggestion whose look every prompt gives
        self.damages = 0  # so many of the next fragments are not sent, or hold nothing
        self.ahead_s = 0.3  # how much of the video the page has before it is shown
        self.is_by_hand = False  # frames are sent by `send_frame` alone
        self.own_pictures: Literal["as_is", "nearest_view"] = "nearest_view"
        self.received: list[tuple[float, m.ClientMessage]] = []  # when, and what
        self.address = ""
        self._visitors: set[_Visitor] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def asked(self, kind: type[Asked]) -> list[Asked]:
        return [message for _, message in self.received if isinstance(message, kind)]

    def drop(self) -> None:
        """Lose all visitors, as a server does that is started anew."""
        for visitor in list(self._visitors):
            self._run(visitor.leave())

    def send_frame(self) -> None:
        """Send the next frame to the only visitor."""
        (visitor,) = self._visitors
        self._run(visitor.send_frame())

    def tell(self, message: m.ServerMessage) -> None:
        """Send a message to the only visitor."""
        (visitor,) = self._visitors
        self._run(visitor.tell(message))

    def _run(self, doing: Coroutine[None, None, None]) -> None:
        assert self._loop is not None, "nobody came yet"
        asyncio.run_coroutine_threadsafe(doing, self._loop).result(60.0)

    async def welcome(self, websocket: WebSocket) -> None:
        self._loop = asyncio.get_running_loop()
        visitor = _Visitor(self, websocket)
        self._visitors.add(visitor)
        try:
            await visitor.serve()
        finally:
            self._visitors.discard(visitor)


class _Visitor:
    """One connection. Every chunk is sent when the page's playhead comes near the end of the last one."""

    def __init__(self, server: ScriptedServer, websocket: WebSocket) -> None:
        self._server = server
        self._websocket = websocket
        self._connection = ServerConnection(LIMITS, server.token)
        self._track = VideoTrack(WIDTH, HEIGHT, FPS)
        self._num_frames = 0  # on the media timeline
        self._num_chunks: int | None = None  # of the walk; None: there is none
        self._num_left = 0  # frames of the last chunk that were not sent
        self._is_paused = False
        self._seq: int | None = None

    async def serve(self) -> None:
        await self._websocket.accept(m.SUBPROTOCOL)
        with suppress(RuntimeError):  # `leave` was called meanwhile
            async for frame in self._websocket.iter_bytes():
                try:
                    await self._take(self._connection.receive(frame, now_ms()))
                except ProtocolError as error:
                    await self._send(m.error_message(error))
                    if error.close_code is not None:
                        await self._websocket.close(error.close_code)

    async def leave(self) -> None:
        await self._websocket.close(1012)

    async def tell(self, message: m.ServerMessage) -> None:
        await self._send(message)

    async def _send(self, message: m.ServerMessage) -> None:
        await self._websocket.send_bytes(self._connection.send(message))

    async def _take(self, message: m.ClientMessage) -> None:
        self._server.received.append((now_ms(), message))
        match message:
            case m.Hello():
                if self._server.at_hello == "welcome":
                    welcome = _welcome(self._server.own_pictures)
                    times, missing = self._server.times_real_time, self._server.missing_chunks
                    told = {"times_real_time": times, "missing_chunks": missing}
                    await self._send(welcome.model_copy(update=told))
            case m.Ping(t=t):
                await self._send(m.Pong(t=t, server=now_ms()))
            case m.Start():
                await self._start(message)
            case _:
                await self._steer(message)

    async def _start(self, start: m.Start) -> None:
        match self._server.at_start:
            case "busy":
                raise ProtocolError(ErrorCode.BUSY, "expected a free place, got none")
            case "refuse":
                raise ProtocolError(ErrorCode.BAD_REQUEST, "expected another view")
            case "queue":
                self._num_chunks = None
                await self._send(m.Queued(position=2, eta=40.0))
            case "walk":
                await self._open(start)

    async def _open(self, start: m.Start) -> None:
        self._num_chunks, self._num_left, self._is_paused = 0, 0, False
        if start.image is not None and self._server.own_pictures == "nearest_view":
            await self._send(m.State(what="view", view="green"))
        track = self._track
        await self._send(m.Init(codec=track.codec, mime=track.mime, data=track.init_segment))
        if start.prompt is not None and self._server.taken_as is not None:
            await self._confirm(start.prompt)
        if not self._server.is_by_hand:
            await self._send_chunk()

    async def _steer(self, message: m.ClientMessage) -> None:
        match message:
            case m.Controls(seq=seq):
                self._seq = seq
            case m.Pause() | m.ResumeWalk():
                self._is_paused = isinstance(message, m.Pause)
                await self._send(m.State(what="paused" if self._is_paused else "resumed"))
            case m.Prompt(text=text):
                await self._confirm(text)
            case m.Reset():
                self._num_chunks, self._num_left = 0, 0
                await self._send(m.State(what="reset", chunk=0))
            case m.Playhead() if self._is_due(message):
                await self._send_chunk()

    def _is_due(self, playhead: m.Playhead) -> bool:
        if self._num_chunks is None or self._is_paused or playhead.hidden or self._server.is_by_hand:
            return False
        return self._num_frames / FPS - playhead.shown < self._server.ahead_s

    async def _confirm(self, prompt: str) -> None:
        taken_as = self._server.taken_as
        await self._send(m.State(what="prompt", chunk=self._num_chunks, text=prompt, taken_as=taken_as))

    async def _send_chunk(self) -> None:
        await self.send_frame()
        while self._num_left > 0:
            await self.send_frame()

    async def send_frame(self) -> None:
        """Send a frame, and if it is the first one of its chunk, the chunk before it."""
        assert self._num_chunks is not None, "there is no walk"
        is_first = self._num_left == 0
        if is_first:
            self._num_left = 13 if self._num_chunks == 0 else 16
            await self._send(_chunk(self._num_chunks, self._num_left, self._num_frames, self._seq))
            self._num_chunks += 1
        self._num_left -= 1
        await self._send_media(self._media(self._num_chunks - 1, is_key=is_first))

    async def _send_media(self, media: m.Media) -> None:
        if self._server.damages > 0:
            self._server.damages -= 1
            media = media.model_copy(update={"data": b"\0\0\0\x08junk"})
        data = self._connection.send(media)  # which counts the frame that is lost, too
        if self._server.damages != 2:
            await self._websocket.send_bytes(data)

    def _media(self, chunk: int, is_key: bool) -> m.Media:
        number = self._num_frames
        self._num_frames += 1
        sample = self._track.encode(_frame(number), key=is_key)
        return m.Media(
            chunk=chunk,
            frame=number,
            time=number / FPS,
            duration=1 / FPS,
            key=sample.key,
            decoded_at=now_ms(),
            decode=2.0,
            encode=1.0,
            data=self._track.fragment(sample, number),
        )


def _frame(number: int) -> NDArray[np.uint8]:
    """A bar that moves to the right."""
    frame = flat((60, 70, 80))
    frame[:, 2 * number % WIDTH :][:, :12] = (220, 190, 110)
    return frame


def _chunk(index: int, num_frames: int, first_frame: int, seq: int | None) -> m.Chunk:
    """Four latents that go ahead, a tenth of a unit each."""
    poses = [(1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0.1 * (4 * index + i), 0, 0, 0, 1) for i in range(4)]
    return m.Chunk(
        index=index,
        first_frame=first_frame,
        frames=num_frames,
        controls_seq=seq,
        latched_at=now_ms(),
        labels=(9,) * 4,
        motions=(m.LatentMotion(forward=0.1, right=0.0, yaw=0.0, pitch=0.0),) * 4,
        poses=tuple(tuple(float(number) for number in pose) for pose in poses),
        timings=m.Timings(select=1.0, context=20.0, denoise=200.0),
    )


def _welcome(own_pictures: Literal["as_is", "nearest_view"]) -> m.Welcome:
    views = tuple(m.View(name=name, title=name.title(), preview=preview(name)) for name in ("red", "green"))
    suggestions = tuple(
        m.Suggestion(title=light, prompt=f"the court at {light}") for light in ("day", "dusk")
    )
    world = m.WorldInfo(
        name="court", title="Court", views=views, suggestions=suggestions, own_pictures=own_pictures
    )
    return m.Welcome(
        protocol=m.PROTOCOL,
        session="s",
        secret="k",
        resumed=False,
        limits=LIMITS,
        worlds=(world,),
        model="scripted",
        fps=FPS,
        size=(WIDTH, HEIGHT),
        sizes=((WIDTH, HEIGHT),),
        chunk=m.ChunkShape(latents=4, frames=16, first_frames=13),
    )


def preview(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), colour).save(file, "JPEG")
    return file.getvalue()


@contextmanager
def serving_script() -> Iterator[ScriptedServer]:
    """Serve the built page and a script."""
    scripted, settings = ScriptedServer(), load_settings(port=0)
    app = Starlette(
        routes=[
            WebSocketRoute("/ws", scripted.welcome),
            Mount("/", StaticFiles(directory=settings.static_dir, html=True, check_dir=False)),
        ]
    )
    config = uvicorn.Config(
        app, ws="websockets-sansio", log_config=None, access_log=False, timeout_graceful_shutdown=5
    )
    with running(uvicorn.Server(config), listen(settings.host, settings.port)) as scripted.address:
        yield scripted
