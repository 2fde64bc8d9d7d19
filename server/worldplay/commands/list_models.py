"""`worldplay models`: lists all models, which of them are on this disk, and what each needs."""

import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from worldplay.world.frames import SIZE
from worldplay.world.released.files import ACTION_MODELS
from worldplay.world.released.memory_estimate import RELEASED, MemoryEstimate, Shapes, estimate_memory
from worldplay.world.released.offload_plan import RESERVE, plan_offload
from worldplay.world.released.quick_check import check_files
from worldplay.world.released.variants import MODEL, VARIANTS, Variant

_EXPLANATION = f"""\
GPU memory is what `serve` needs for one session and one clip at {SIZE[0]}x{SIZE[1]}; see `worldplay doctor`.
"present" means that all files are there, with valid headers and sizes. `worldplay doctor --check` finds out
whether the model also loads.
"""


@dataclass(frozen=True, slots=True)
class ListedVariant:
    """One line of the list."""

    variant: Variant
    problem: str | None  # what the quick check finds wrong with its files; None if nothing
    disk: int  # bytes of its own files and of those that all variants share
    memory: int  # bytes of GPU memory if everything is kept there
    least_memory: int  # bytes of GPU memory if all that can be offloaded is


def list_models(weights_dir: Path, shapes: Shapes = RELEASED) -> list[ListedVariant]:
    """List every released variant."""
    return [_describe(variant, weights_dir, shapes) for variant in VARIANTS.values()]


def _describe(variant: Variant, weights_dir: Path, shapes: Shapes) -> ListedVariant:
    needed = estimate_memory(variant)
    walks = 2 if variant.is_live else 1  # what `serve` keeps memory for: one session and a clip
    return ListedVariant(
        variant,
        find_file_problem(variant, weights_dir, shapes),
        disk=disk_bytes(needed),
        memory=plan_offload(needed, walks, None).peak + RESERVE,
        least_memory=plan_offload(needed, walks, 0).peak + RESERVE,
    )


def disk_bytes(needed: MemoryEstimate) -> int:
    """Estimate the size of the published files, with two bytes per number of the transformer."""
    autoencoder = 2 * needed.autoencoder  # published with four bytes per number
    return needed.image_stream + needed.text_stream + autoencoder + needed.encoders


def find_file_problem(variant: Variant, weights_dir: Path, shapes: Shapes = RELEASED) -> str | None:
    """Run the quick check on a variant's files. Returns: what is wrong; None if nothing."""
    try:
        check_files(weights_dir, variant, shapes)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def run(weights_dir: Path, shapes: Shapes = RELEASED) -> None:
    """Print the table, then the problems of models that are only partly there."""
    write = sys.stdout.write
    write(f"{'model':30} {'state':9} {'disk':>7} {'GPU memory':>14}  what it is\n")
    write(f"{'embedded':30} {'ready':9} {'':>7} {'none':>14}  the courtyard that comes with WorldPlay Live\n")
    problems = []
    for known in list_models(weights_dir, shapes):
        variant = known.variant
        here = any((weights_dir / folder).is_dir() for folder in _own_folders(variant))
        state = "present" if known.problem is None else "damaged" if here else "absent"
        if known.problem is not None and here:
            problems.append(f"{variant.name}: {known.problem}\n")
        memory = f"{ceil(known.least_memory / 1e9)} to {ceil(known.memory / 1e9)} GB"
        name = f"{MODEL} {variant.name}"
        write(f"{name:30} {state:9} {known.disk / 1e9:4.0f} GB {memory:>14}  {variant.about}\n")
    write(f"\nKept in {weights_dir}.\n{_EXPLANATION}")
    sys.stdout.writelines(problems)


def _own_folders(variant: Variant) -> tuple[str, ...]:
    return variant.folder, f"{ACTION_MODELS}/{variant.folder}"
