"""The plan of all measurements, and how one of them is carried out."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter

import torch

from gpu.attention import measure_attention
from gpu.blocks import measure_compile
from gpu.graphs import measure_graphs
from gpu.launches import measure_launches
from gpu.overlap import measure_overlap
from gpu.pictures import measure_pictures
from gpu.setup import NeedsCudaError, Row, Setup
from gpu.storage import measure_storage
from worldplay.commands.bench import RandomModel, build, measure
from worldplay.commands.hardware import gemm_rate, name_of, peak_memory


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a measurement found, or why it found nothing."""

    name: str
    size: str
    status: str  # ok, failed, needs CUDA, out of time
    seconds: float
    rows: list[Row] = field(default_factory=list)
    detail: str = ""


def measure_machine(setup: Setup) -> list[Row]:
    side = setup.scale.gemm_side
    rate = gemm_rate(setup.device, setup.dtype, side)
    what: Row = {"device": name_of(setup.device), "torch": torch.__version__, "dtype": str(setup.dtype)}
    return [what | {"matrix side": side, "TFLOP/s": rate / 1e12}]


def measure_chunk(setup: Setup) -> list[Row]:
    """Measure what `worldplay bench --random-weights` reports."""
    random = RandomModel(
        setup.size, setup.most_context, transformer=setup.scale.transformer, vae=setup.scale.vae
    )
    report = measure(build(random, str(setup.device)), setup.scale.chunks)
    rows: list[Row] = [{k: v for k, v in asdict(row).items() if v is not None} for row in report.rows]
    return [*rows, {"stage": "frames/s", "median_ms": report.fps}]


MEASUREMENTS: dict[str, Callable[[Setup], list[Row]]] = {
    "machine": measure_machine,
    "launches": measure_launches,
    "chunk": measure_chunk,
    "attention": measure_attention,
    "storage": measure_storage,
    "pictures": measure_pictures,
    "overlap": measure_overlap,
    "graphs": measure_graphs,
    "compile": measure_compile,
}
ONCE = {"machine", "launches"}  # do not depend on the size


def carry_out(name: str, setup: Setup) -> Outcome:
    """Run a measurement. A failure becomes its outcome."""
    size = f"{setup.size[0]}x{setup.size[1]}"
    began = perf_counter()
    try:
        rows = MEASUREMENTS[name](setup)
    except NeedsCudaError:
        return Outcome(name, size, "needs CUDA", perf_counter() - began)
    except Exception as error:  # the plan goes on with what can be measured
        logging.exception("%s failed", name)
        detail = f"{type(error).__name__}: {str(error).strip()[:500]}"
        return Outcome(name, size, "failed", perf_counter() - began, detail=detail)
    rows.append({"peak GB": peak_memory(setup.device) / 1e9})
    return Outcome(name, size, "ok", perf_counter() - began, rows)
