"""A server of ours on loopback, in a thread of the test process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from worldplay.engine_setup import make_engine
from worldplay.settings import Settings, load_settings
from worldplay.web import app
from worldplay.web.address import listen
from worldplay.web.app import create_server
from worldplay.world.world import World

HANGS_S = 60.0  # to start or to stop


@contextmanager
def serving(world: World, **arguments: object) -> Iterator[str]:
    """Serve a world. Yields: host and port."""
    settings: Settings = load_settings(
        **{"port": 0, "max_sessions": 4, "store": "none", "recordings": "none", "resume_s": 0, **arguments}
    )
    listening = listen(settings.host, settings.port)
    engine = make_engine(settings, world)
    with running(create_server(settings, world, engine), listening) as address:
        yield address


@contextmanager
def running(server: uvicorn.Server, listening: socket.socket) -> Iterator[str]:
    """Run it in a thread. Yields: host and port."""
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name=address)
    try:
        with pytest.MonkeyPatch.context() as patch:  # a busy machine may take longer to end and to write
            for name in ("CLOSE_ENGINE_S", "CLOSE_KEEPER_S", "CLOSE_RECORDER_S"):
                patch.setattr(app, name, HANGS_S)
            thread.start()
            _wait_started(server)
        yield address
    finally:
        server.should_exit = True
        thread.join(HANGS_S)
        assert not thread.is_alive(), "the server did not stop"


def computed_s(address: str) -> float:
    """Return for how long the server's event loop has computed, to which a busy machine adds nothing."""
    (loop,) = [thread for thread in threading.enumerate() if thread.name == address]
    assert loop.ident is not None
    return time.clock_gettime(time.pthread_getcpuclockid(loop.ident))


def _wait_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + HANGS_S
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
