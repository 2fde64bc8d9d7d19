"""`worldplay serve`: loads a world and serves it until it is interrupted."""

import logging
import os
import signal
import sys
import threading
from dataclasses import replace
from time import time
from typing import TYPE_CHECKING

from worldplay.media.encoder import find_live_codec
from worldplay.settings import Settings
from worldplay.web.address import listen, url_of
from worldplay.web.freed_memory import keep_one_heap, settle_loaded
from worldplay.web.logs import setup_logs

if TYPE_CHECKING:  # it imports torch
    from worldplay.world.world import World

logger = logging.getLogger(__name__)

END_S = 9.0  # after which a process that was told to stop ends, whatever hangs in it


def run(settings: Settings) -> None:
    """Listen, load the world and serve. Raises: ValueError or OSError saying what to do."""
    began_s = time()
    setup_logs(settings.log_level, settings.log_format)
    keep_one_heap()
    listening = listen(settings.host, settings.port)  # before the slow loading, because the port may be taken
    logger.info("loading the model %r", settings.model)
    from worldplay.engine_setup import open_engine
    from worldplay.loading import check_choices, open_ranks
    from worldplay.sizing import fix_size
    from worldplay.web.app import create_server
    from worldplay.web.static_page import has_page
    from worldplay.web.world_server import EXIT_FAILED

    check_choices(settings)
    # While loading, and when uvicorn raises the signal again after stopping.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    settings = fix_size(settings)
    with open_ranks(settings) as ranks:
        world, engine = open_engine(settings, ranks)
        server = create_server(settings, with_live_codec(world), engine, began_s)
        server.on_stopping = lambda: _end_process_soon(EXIT_FAILED if server.has_failed else 0)
        num_slots = engine.max_sessions if world.can_walk else 0
        settle_loaded()
        where = "walk at" if has_page(settings.static_dir) else "without a page at"
        logger.info("ready, visitors at once: %d; %s %s", num_slots, where, url_of(listening))
        server.run(sockets=[listening])
        if server.has_failed:
            os._exit(EXIT_FAILED)  # a thread that hangs would keep the process


def with_live_codec(world: "World") -> "World":
    """Let the GPU that computes a world encode its live video, if it can."""
    if world.device.type == "cpu":
        return world
    codec = find_live_codec(world.width, world.height, world.fps)
    logger.info("live video is encoded by %s", codec)
    return replace(world, codec=codec)


def _end_process_soon(code: int) -> None:
    """End the process after END_S if it still runs then: a thread that hangs would keep it."""

    def end() -> None:
        logger.warning("the process ends although a thread hangs")
        os._exit(code)

    timer = threading.Timer(END_S, end)
    timer.daemon = True
    timer.start()
