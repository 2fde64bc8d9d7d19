"""A server of ours on loopback, in a thread of the test process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from worldplay.engine_setup import make_engine
from worldplay.settings import Settings, load_settings
from worldplay.web.address import listen
from worldplay.web.app import create_server
from worldplay.world.world import World

START_TIMEOUT_S = 10.0


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
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        _wait_started(server)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10.0)
        assert not thread.is_alive(), "the server did not stop"


def _wait_started(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
