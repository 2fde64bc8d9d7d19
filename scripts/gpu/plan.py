"""The plan of all measurements, in order of worth, and how one of them is carried out."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import torch

from gpu.attention import measure_attention
from gpu.checks import (
    check_backends,
    check_encoder,
    check_norms,
    check_prompts,
    check_sizes,
    check_tests,
    check_units,
)
from gpu.chunk import measure_chunk
from gpu.decode import measure_compiled_decode, measure_decode
from gpu.goldens import measure_goldens
from gpu.graphs import measure_graphs
from gpu.kernels import measure_kernels
from gpu.launches import measure_launches
from gpu.linears import measure_linears
from gpu.overlap import measure_overlap
from gpu.passes import measure_passes
from gpu.pictures import measure_pictures
from gpu.scaling import NUM_RANKS, TooFewGpusError, measure_ranks
from gpu.setup import FoundFaultError, NeedsCudaError, Outcome, Row, Scale, Setup
from gpu.storage import measure_storage
from gpu.tiers import measure_tiers
from gpu.walk import measure_embedded_walk, measure_walk
from worldplay.commands.hardware import gemm_rate, name_of, peak_memory


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement at one size."""

    name: str
    number: int  # of the size
    size: str


def measure_machine(setup: Setup) -> Iterator[Row]:
    side = setup.scale.gemm_side
    what: Row = {"device": name_of(setup.device), "torch": torch.__version__}
    for dtype in dict.fromkeys([setup.dtype, torch.float32]):
        rate = gemm_rate(setup.device, dtype, side)
        yield what | {"dtype": str(dtype), "matrix side": side, "TFLOP/s": rate / 1e12}


MEASUREMENTS: dict[str, Callable[[Setup], Iterable[Row]]] = {
    "machine": measure_machine,
    "goldens": measure_goldens,
    "embedded walk": measure_embedded_walk,
    "walk": measure_walk,
    "chunk": measure_chunk,
    "passes": measure_passes,
    "tiers": measure_tiers,
    "attention": measure_attention,
    "decode": measure_decode,
    "linears": measure_linears,
    "kernels": measure_kernels,
    "compiled decode": measure_compiled_decode,
    "overlap": measure_overlap,
    "pictures": measure_pictures,
    "graphs": measure_graphs,
    "storage": measure_storage,
    "launches": measure_launches,
}
SCALING: dict[str, Callable[[Setup], Iterable[Row]]] = {
    f"ranks {count}": partial(measure_ranks, count) for count in NUM_RANKS
}
CHECKS: dict[str, Callable[[Setup], Iterable[Row]]] = {
    "encoder": check_encoder,
    "8-bit units": check_units,
    "fused norms": check_norms,
    "server": measure_walk,
    "gpu tests": check_tests,
    "tiers": measure_tiers,
    "prompts": check_prompts,
    "backends": check_backends,
    "auto size": check_sizes,
    "pictures": measure_pictures,
}
ONCE = {"machine", "goldens", "embedded walk", "linears", "launches"}  # do not depend on the size
# At the smallest size; passes at the others in the end.
SMALLEST = {"walk", "passes", "tiers", "compiled decode"}
LIMIT_S = 60.0  # for a measurement, building its model included
WALK_S = 110.0  # on an H200 20 s for loading, about a minute for compiling and recording, then two walks
LIMITS_S = {"machine": 30.0, "goldens": 40.0, "embedded walk": 35.0, "walk": WALK_S, "linears": 20.0}
LIMITS_S |= {"encoder": 30.0, "8-bit units": 30.0, "fused norms": 45.0, "server": WALK_S, "backends": 30.0}
LIMITS_S |= {"ranks 1": 150.0}  # which also compiles
CANDIDATES = {"attention"}  # of whose rows some may fail


def list_steps(scale: Scale) -> list[Step]:
    """List what is measured, in order."""
    last = len(scale.sizes) - 1
    steps = [(name, number) for name in MEASUREMENTS for number in _early_sizes(name, last)]
    steps += [("passes", number) for number in range(last)]
    return [Step(name, number, "{}x{}".format(*scale.sizes[number])) for name, number in steps]


def list_scaling_steps(scale: Scale) -> list[Step]:
    """List what scripts/gpu_scaling.py measures: the largest size first, with all numbers of ranks."""
    sizes = ["{}x{}".format(*size) for size in scale.sizes]
    names = [f"ranks {count}" for count in NUM_RANKS if scale.transformer.heads % count == 0]
    return [Step(name, number, size) for number, size in enumerate(sizes) for name in names]


def list_checks(scale: Scale) -> list[Step]:
    """List what scripts/gpu_checks.py checks: at the smallest size, but attention at the largest."""
    numbers = {name: 0 if name == "backends" else len(scale.sizes) - 1 for name in CHECKS}
    return [Step(name, number, "{}x{}".format(*scale.sizes[number])) for name, number in numbers.items()]


def _early_sizes(name: str, last: int) -> Iterable[int]:
    if name in SMALLEST:
        return [last]
    return [0] if name in ONCE else range(last + 1)


def carry_out(name: str, setup: Setup) -> Iterator[Outcome]:
    """Run a measurement. Yields: its outcome so far, after each row. A failure becomes its outcome.

    A fault that it finds is a failure: it raises FoundFaultError, or says "failed" in a row.
    """
    began = perf_counter()
    found = Outcome(name, f"{setup.size[0]}x{setup.size[1]}", "", 0.0)
    try:
        for row in (MEASUREMENTS | SCALING | CHECKS)[name](setup):
            found = replace(found, seconds=perf_counter() - began, rows=[*found.rows, row])
            yield found
        _check_rows(name, found.rows)
        found = replace(found, status="ok", rows=[*found.rows, {"peak GB": peak_memory(setup.device) / 1e9}])
    except FoundFaultError as fault:
        found = replace(found, status="failed", detail=str(fault)[:500])
    except NeedsCudaError:
        found = replace(found, status="needs CUDA")
    except TooFewGpusError:
        found = replace(found, status="too few GPUs")
    except Exception as error:  # the plan goes on with what can be measured
        logging.exception("%s failed", name)
        detail = f"{type(error).__name__}: {str(error).strip()[:500]}"
        found = replace(found, status="failed", detail=detail)
    yield replace(found, seconds=perf_counter() - began)


def _check_rows(name: str, rows: Sequence[Row]) -> None:
    """Raises: FoundFaultError if nothing was found, or a row says that it failed; of candidates, all."""
    failed = [str(row["failed"]) for row in rows if "failed" in row]
    if not rows:
        raise FoundFaultError("it found nothing")
    if failed and (name not in CANDIDATES or len(failed) == len(rows)):
        raise FoundFaultError(f"{len(failed)} of {len(rows)} rows failed: {failed[0]}")
