"""Trains the embedded world from nothing: walks, text encoder, VAE, latents, transformer; measures it.

Every stage goes on where it was stopped. Examples, two CPU cores and some hours; the second one teaches the
shipped transformer more about the latents that it knows:

    python scripts/train_world.py render text vae latents transformer measure --folder /tmp/world
    python scripts/train_world.py render reuse latents transformer measure --folder /tmp/world --rate 0.5 \\
        --start server/worldplay/weights/embedded
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch
import torch.distributed as dist

from training import stages

STAGES: dict[str, Callable[[stages.Options], None]] = {
    "render": stages.render_stage,
    "text": stages.text_stage,
    "vae": stages.vae_stage,
    "reuse": stages.reuse_stage,
    "latents": stages.latents_stage,
    "transformer": stages.transformer_stage,
    "measure": stages.measure_stage,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="+", choices=list(STAGES))
    parser.add_argument("--folder", type=Path, required=True, help="everything is kept here")
    parser.add_argument("--processes", type=int, default=2, help="ranks; one thread each on a CPU")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda with one process")
    parser.add_argument("--walks", type=int, default=480, help="training walks")
    parser.add_argument("--drills", type=int, default=160, help="walks that try out combinations of keys")
    parser.add_argument("--nice", type=int, default=5, help="how far to let others go first")
    parser.add_argument("--vae-minutes", type=float, default=20.0, help="of training the autoencoder")
    parser.add_argument("--minutes", type=float, default=50.0, help="of training the transformer")
    parser.add_argument("--rate", type=float, default=1.0, help="of learning the transformer, over the usual")
    parser.add_argument("--start", type=Path, help="folder of an earlier version to begin with")
    options = stages.Options(**vars(parser.parse_args()))
    if "reuse" in options.stages and options.start is None:
        parser.error("reuse expects --start, the folder of the version to reuse")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # takes the ranks along
    for stage in options.stages:
        run_ranks(stage, options)


def run_ranks(stage: str, options: stages.Options) -> None:
    """Run a stage on every rank and wait."""
    with tempfile.TemporaryDirectory() as meeting_place:
        meeting = f"file://{meeting_place}/ranks"
        spawn = get_context("spawn")
        ranks = [
            spawn.Process(target=_run_rank, args=(rank, stage, options, meeting), daemon=True)
            for rank in range(options.processes)
        ]
        for process in ranks:
            process.start()
        _wait_for_all(ranks, stage)


def _wait_for_all(ranks: list[SpawnProcess], stage: str) -> None:
    """A rank that fails ends the run: the others would wait for it for ever."""
    running = list(ranks)
    while running:
        ended = wait([process.sentinel for process in running])
        if any(process.exitcode for process in running if process.sentinel in ended):
            sys.exit(f"stage {stage} failed")  # which ends the daemons, too
        running = [process for process in running if process.sentinel not in ended]


def _run_rank(rank: int, stage: str, options: stages.Options, meeting_place: str) -> None:
    os.nice(options.nice)
    if options.device == "cpu":
        torch.set_num_threads(1)  # two processes of one thread are nearly twice as fast as one of two
    dist.init_process_group("gloo", meeting_place, rank=rank, world_size=options.processes)
    STAGES[stage](options)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
