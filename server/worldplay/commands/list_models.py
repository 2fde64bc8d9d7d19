"""`worldplay models`: which models there are, which are on this disk, and what each needs."""

import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from worldplay.world.released.files import locate
from worldplay.world.released.memory_estimate import RELEASED, Needs, Shapes, count_needs
from worldplay.world.released.offload import RESERVE, plan_memory
from worldplay.world.released.remedy import find_remedy
from worldplay.world.released.variants import MODEL, VARIANTS, Variant


@dataclass(frozen=True, slots=True)
class Known:
    """A variant as an operator sees it."""

    variant: Variant
    problem: str | None  # what keeps it from being loaded; None if all of it is there
    disk: int  # bytes of its own and of the parts that all variants share
    memory: int  # bytes on the GPU with everything resident
    least_memory: int  # with whatever can wait elsewhere waiting there


def list_models(weights_dir: Path, shapes: Shapes = RELEASED) -> list[Known]:
    """Every released variant."""
    return [_describe(variant, weights_dir, shapes) for variant in VARIANTS.values()]


def _describe(variant: Variant, weights_dir: Path, shapes: Shapes) -> Known:
    needs = count_needs(variant)
    demand = needs.demand(variant, 2 if variant.is_live else 1)  # what `serve` asks for one visitor
    plenty = 10**15
    return Known(
        variant,
        find_problem(variant, weights_dir, shapes),
        disk=disk_bytes(needs),
        memory=plan_memory(demand, plenty).peak + RESERVE,
        least_memory=plan_memory(demand, 0).peak + RESERVE,
    )


def disk_bytes(needs: Needs) -> int:
    """What the published files take, if the transformer was published in two bytes per number."""
    autoencoder = 2 * needs.autoencoder  # in four
    return needs.image_stream + needs.text_stream + autoencoder + needs.encoders


def find_problem(variant: Variant, weights_dir: Path, shapes: Shapes = RELEASED) -> str | None:
    """What keeps a variant from being loaded, as far as the small files and the weights' headers tell."""
    try:
        locate(weights_dir, variant.folder, find_remedy(variant, weights_dir))
        from worldplay.world.released.load import check_released  # its libraries take seconds to import

        check_released(weights_dir, variant, shapes)
    except (OSError, ValueError) as error:
        return str(error)
    return None


def run(weights_dir: Path, shapes: Shapes = RELEASED) -> None:
    """Print the table, and after it what is wrong with models that are there in part."""
    write = sys.stdout.write
    write(f"{'model':30} {'state':9} {'disk':>7} {'GPU memory':>14}  what it is\n")
    write(f"{'embedded':30} {'ready':9} {'':>7} {'none':>14}  the courtyard that comes with WorldPlay Live\n")
    problems = []
    for known in list_models(weights_dir, shapes):
        variant = known.variant
        here = any((weights_dir / folder).is_dir() for folder in _own_folders(variant))
        state = "ready" if known.problem is None else "damaged" if here else "absent"
        if known.problem is not None and here:
            problems.append(f"{variant.name}: {known.problem}\n")
        memory = f"{ceil(known.least_memory / 1e9)} to {ceil(known.memory / 1e9)} GB"
        name = f"{MODEL} {variant.name}"
        write(f"{name:30} {state:9} {known.disk / 1e9:4.0f} GB {memory:>14}  {variant.about}\n")
    write(
        f"\nKept in {weights_dir}. GPU memory is what `serve` takes for one visitor and a clip at 480x832;\n"
    )
    write("more in `worldplay doctor`.\n")
    sys.stdout.writelines(problems)


def _own_folders(variant: Variant) -> tuple[str, ...]:
    return variant.folder, f"HY-WorldPlay/{variant.folder}"
