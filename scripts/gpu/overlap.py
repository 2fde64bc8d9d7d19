"""Measures whether decoding a chunk on a second stream, during the next context pass, saves time."""

from collections.abc import Callable

import torch

from gpu.setup import Row, Setup, make_arguments
from worldplay.model.config import CHUNK_LATENTS


@torch.inference_mode()
def measure_overlap(setup: Setup) -> list[Row]:
    """Time both alone, one after the other, and at once; and how soon the decoded chunk is ready."""
    setup.need_cuda()
    world = setup.build()
    model, cache = world.rollout.transformer, world.rollout.caches[0]
    context = make_arguments(setup, world, setup.most_context)
    latents = make_arguments(setup, world, CHUNK_LATENTS)[0]
    state = world.vae.new_decoder_state()
    world.vae.decode_latent(latents[:, :, :1], state)

    def decode() -> None:
        for latent in torch.split(latents, 1, dim=2):
            world.vae.decode_latent(latent, state)

    def encode() -> None:
        model.encode_context(*context, cache)

    rows: list[Row] = [
        {"way": "decode alone", "ms": setup.median_ms(decode)},
        {"way": "context alone", "ms": setup.median_ms(encode)},
    ]
    for name, priority in (
        ("one after the other", None),
        ("two streams", 0),
        ("decode first in priority", -1),
    ):
        decoded_ms: list[float] = []
        ms = setup.median_ms(_run_both(decode, encode, priority, decoded_ms))
        rows.append({"way": name, "ms": ms, "pixels after ms": sorted(decoded_ms)[len(decoded_ms) // 2]})
    return rows


def _run_both(
    decode: Callable[[], None], encode: Callable[[], None], priority: int | None, decoded_ms: list[float]
) -> Callable[[], None]:
    here = torch.cuda.current_stream()
    beside = here
    if priority is not None:
        beside = torch.cuda.Stream(priority=priority)

    def run() -> None:
        began = torch.cuda.Event(enable_timing=True)
        decoded = torch.cuda.Event(enable_timing=True)
        began.record(here)
        beside.wait_stream(here)
        with torch.cuda.stream(beside):
            decode()
            decoded.record(beside)
        encode()
        here.wait_stream(beside)
        torch.cuda.synchronize()
        decoded_ms.append(began.elapsed_time(decoded))

    return run
