"""Trains the embedded world from scratch: walks, text encoder, VAE, latents, transformer.

Every stage continues where it was stopped, the autoencoder's and the transformer's from their last save. Only
the text encoder's, which takes minutes, starts again. Examples: two CPU cores and some hours; the shipped
transformer, further; everything on a GPU in nine minutes:

    python scripts/train_world.py pictures render text vae latents transformer compact --folder /tmp/world
    python scripts/train_world.py render reuse latents transformer --folder /tmp/world --rate 0.5 \\
        --start server/worldplay/weights/embedded
    python scripts/train_world.py --preset short --device cuda --folder /tmp/world

scripts/eval_world.py measures the world in a folder, even while its transformer is still being trained.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path

import torch
import torch.distributed as dist

from training import stages
from training.data import DRILL_SEED, HELD_OUT_SEED
from training.processes import end_with_parent
from training.walk_files import SHRINK, shows_court
from worldplay.world.device import choose_device

STAGES: dict[str, Callable[[stages.Options], None]] = {
    "pictures": stages.picture_stage,
    "render": stages.render_stage,
    "text": stages.text_stage,
    "vae": stages.vae_stage,
    "reuse": stages.reuse_stage,
    "latents": stages.latents_stage,
    "transformer": stages.transformer_stage,
    "compact": stages.compact_stage,
}


# What a stage writes to the folder and expects there; SEED stands for the seed of every walk.
MAKES = {
    "pictures": ("pictures",),
    "render": ("walks", "walks/SEED.npy"),
    "text": ("text.safetensors",),
    "vae": ("vae.safetensors", "vae.json"),
    "reuse": ("text.safetensors", "vae.safetensors", "vae.json"),
    "latents": ("latents/SEED.npy",),
    "transformer": ("transformer.safetensors",),
    "compact": (),
}
EXPECTS = {
    "pictures": (),
    "render": (),
    "text": (),
    "vae": ("pictures",),  # some of which may still be missing
    "reuse": (),
    "latents": ("walks/SEED.npy", "vae.safetensors", "vae.json"),
    "transformer": ("walks/SEED.npy", "latents/SEED.npy", "text.safetensors", "vae.json"),
    "compact": ("vae.safetensors", "vae.json"),
}
PRESETS: dict[str, dict[str, object]] = {
    "short": {
        "stages": ["pictures", "render", "text", "vae", "latents", "transformer", "compact"],
        "pictures": 48,
        "walks": 416,
        "drills": 64,
        "vae_minutes": 2.2,
        "minutes": 3.4,
    }
}


def main() -> None:
    options = parse(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))  # ends the ranks, and waits for them
    with ExitStack() as running:
        run_stages(options, running)
    if "transformer" in options.stages:
        print(f"To measure it: {evaluation_command(options.folder)}")


def run_stages(options: stages.Options, running: ExitStack) -> None:
    """Run all stages; the text encoder's, too small for a GPU but minutes long, beside all those of a GPU."""
    beside: Ranks | None = None
    if "text" in options.stages and options.device != "cpu":
        beside = running.enter_context(Ranks("text", replace(options, device="cpu")))
    for stage in options.stages:
        if stage == "text" and beside is not None:
            continue
        if stage == "transformer" and beside is not None:
            beside.wait()
        with Ranks(stage, options) as ranks:
            ranks.wait()
    if beside is not None:
        beside.wait()


def evaluation_command(folder: Path) -> str:
    """Return the command that measures the world in a folder."""
    return f"python scripts/eval_world.py --folder {folder / 'eval'} --weights {folder} --quick"


def parse(arguments: Sequence[str]) -> stages.Options:
    """Read the command line; an error ends the program with one sentence."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--preset", choices=list(PRESETS), help="defaults for stages, amounts and minutes")
    parser.add_argument("--folder", type=Path, required=True, help="everything is kept here")
    parser.add_argument("--processes", type=int, help="ranks; one thread each on a CPU [2; 1 for cuda]")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda with one process")
    parser.add_argument("--walks", type=int, default=480, help="training walks")
    parser.add_argument(
        "--pictures", type=int, default=128, help="training walks that are also rendered at the size shown"
    )
    parser.add_argument("--drills", type=int, default=160, help="walks that try out combinations of keys")
    parser.add_argument("--nice", type=int, default=5, help="niceness of the processes [5]")
    parser.add_argument("--vae-minutes", type=float, default=20.0, help="minutes of training the autoencoder")
    parser.add_argument("--minutes", type=float, default=50.0, help="minutes of training the transformer")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="factor on the transformer's learning rate [1]"
    )
    parser.add_argument("--start", type=Path, help="folder of an earlier version to begin with")
    preset = PRESETS.get(parser.parse_args(arguments).preset, {})
    parser.set_defaults(**preset)
    values = vars(parser.parse_args(arguments))
    del values["preset"]
    if not values["stages"]:
        values["stages"] = preset.get("stages", [])
    if values["processes"] is None:
        values["processes"] = 1 if values["device"].startswith("cuda") else 2
    options = stages.Options(**values)
    fault = (
        _find_bad_stage(options) or _find_fault(options) or _find_other_court(options) or _find_lack(options)
    )
    if fault:
        parser.error(fault)
    return options


def _find_bad_stage(options: stages.Options) -> str | None:
    unknown = [stage for stage in options.stages if stage not in STAGES]
    if unknown or not options.stages:
        return f"expected stages of {', '.join(STAGES)}, got {', '.join(unknown) or 'none'}"
    return None


def _find_fault(options: stages.Options) -> str | None:
    """Return what is wrong with the options; None if nothing."""
    if options.device == "auto":
        return "--device expects cpu or cuda, got auto"
    try:
        device = choose_device(options.device)
    except ValueError as error:
        return f"--device: {error}"
    most = 1 if device.type == "cuda" else max(2, os.cpu_count() or 1)
    if not 1 <= options.processes <= most:
        return f"--processes expects 1 to {most} for {device.type}, got {options.processes}"
    if fault := _find_bad_number(options):
        return fault
    if options.start is not None:
        for name in ("world.json", "text.safetensors", "vae.safetensors", "transformer.safetensors"):
            if not (options.start / name).is_file():
                return f"--start expects an earlier version, but {options.start / name} is missing"
    if "reuse" in options.stages and options.start is None:
        return "reuse expects --start, the folder of the version to reuse"
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"--folder expects a folder, or where one can be made: {error}"
    return None


def _find_bad_number(options: stages.Options) -> str | None:
    """Return the first number that is out of bounds; None if there is none."""
    bounds = {
        "walks": (1, DRILL_SEED),  # more would use the seeds of drills or of held-out walks
        "drills": (0, HELD_OUT_SEED - DRILL_SEED),
        "pictures": (1, DRILL_SEED),
        "nice": (0, 19),
    }
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if not least <= value <= most:
            return f"--{name} expects {least} to {most}, got {value}"
    for name in ("minutes", "vae_minutes", "rate"):
        value = getattr(options, name)
        if not 0 < value < math.inf:
            return f"--{name.replace('_', '-')} expects a positive number, got {value}"
    return None


def _find_other_court(options: stages.Options) -> str | None:
    """Return which walks in the folder an earlier recipe has rendered; None if none."""
    for folder, scale in ((options.walk_folder, 1), (options.picture_folder, SHRINK)):
        rendered = (seed for seed in options.seeds if (folder / f"{seed}.npy").exists())
        seed = next(rendered, None)
        if seed is not None and not shows_court(folder, seed, scale):
            return f"--folder expects walks through this court, but those in {folder} show another"
    return None


def _find_lack(options: stages.Options) -> str | None:
    """Return what a stage needs and neither the folder has nor an earlier stage makes; None if nothing."""
    made: set[str] = set()
    for stage in options.stages:
        for name in EXPECTS[stage]:
            files = [options.folder / name.replace("SEED", str(seed)) for seed in options.seeds]
            missing = [file for file in files if name not in made and not file.exists()]
            if missing:
                makers = " or ".join(maker for maker, names in MAKES.items() if name in names)
                return f"{stage} expects {missing[0]}: run {makers} first"
        made.update(MAKES[stage])
    return None


class Ranks:
    """The processes of a stage. They end with the context."""

    def __init__(self, stage: str, options: stages.Options) -> None:
        self._stage, self._meeting_place = stage, tempfile.TemporaryDirectory()
        meeting = f"file://{self._meeting_place.name}/ranks"
        spawn = get_context("spawn")
        self._ranks = [
            spawn.Process(target=_run_rank, args=(rank, stage, options, meeting))
            for rank in range(options.processes)
        ]

    def __enter__(self) -> "Ranks":
        for process in self._ranks:
            process.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._ranks:
            process.terminate()
        for process in self._ranks:
            process.join()
        self._meeting_place.cleanup()

    def wait(self) -> None:
        """Wait for all ranks. If one fails, end the program: the others would wait for it for ever."""
        running = list(self._ranks)
        while running:
            ended = wait([process.sentinel for process in running])
            if any(process.exitcode for process in running if process.sentinel in ended):
                sys.exit(f"stage {self._stage} failed")
            running = [process for process in running if process.sentinel not in ended]


def _run_rank(rank: int, stage: str, options: stages.Options, meeting_place: str) -> None:
    end_with_parent()
    os.nice(options.nice)
    if options.device == "cpu":
        torch.set_num_threads(1)  # two processes of one thread are nearly twice as fast as one of two
    dist.init_process_group("gloo", meeting_place, rank=rank, world_size=options.processes)
    dist.barrier()  # a rank with nothing to do would end before the others are connected, and they would fail
    STAGES[stage](options)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
