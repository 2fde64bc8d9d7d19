"""Serves a world with random weights on loopback, by the server's own parts: python -m gpu.serve_random."""

import argparse
import io
import logging
import sys
from dataclasses import replace

import torch
from PIL import Image

from gpu.setup import MINIATURE, RELEASED, Setup
from worldplay.engine_setup import make_engine
from worldplay.loading import tune
from worldplay.settings import load_settings
from worldplay.web.address import listen, url_of
from worldplay.web.app import create_server
from worldplay.world.device import choose_device
from worldplay.world.released.random_weights import fill_randomly
from worldplay.world.released.variants import MODEL
from worldplay.world.walk import OpenGround
from worldplay.world.world import StartView, World

logger = logging.getLogger("serve_random")


def main(arguments: list[str]) -> None:
    options = parse(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    scale = MINIATURE if options.miniature else RELEASED
    settings = load_settings(model=MODEL, device=options.device, host="127.0.0.1", port=0, max_sessions=1)
    listening = listen(settings.host, settings.port)
    setup = Setup(scale, scale.sizes[options.number], choose_device(options.device))
    world = tune(settings, make_walkable(setup.build()))
    server = create_server(settings, world, make_engine(settings, world))
    logger.info("ready, walk at %s", url_of(listening))
    server.run(sockets=[listening])


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=0, help="which of the sizes")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--miniature", action="store_true", help="use a tiny model")
    return parser.parse_args(arguments)


@torch.inference_mode()
def make_walkable(world: World) -> World:
    """Give a world with random weights an encoder of start images, a view to start at, and room for one."""
    fill_randomly(world.vae.encoder, world.device, world.rollout.transformer.dtype)
    picture = Image.effect_noise((world.width, world.height), 64).convert("RGB")
    preview = io.BytesIO()
    picture.save(preview, "JPEG")
    view = StartView("noise", "Noise", picture, preview.getvalue(), OpenGround)
    return replace(world, views=(view,), max_sessions=1)


if __name__ == "__main__":
    main(sys.argv[1:])
