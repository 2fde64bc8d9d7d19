"""The GPU's measuring plan in miniature, on a CPU: its logic, not its numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter

import gpu_bench
from gpu import plan
from gpu.pictures import convert_on_host, to_rgb, to_yuv420
from gpu.plan import MEASUREMENTS, Outcome, carry_out
from gpu.setup import MINIATURE, RELEASED, Row, Setup
from gpu.tables import render

pytestmark = pytest.mark.slow

MINI = Setup(MINIATURE, MINIATURE.sizes[0], torch.device("cpu"))


@pytest.mark.parametrize("name", ["attention", "storage", "pictures"])
def test_measurements_run_in_miniature(name: str) -> None:
    outcome = carry_out(name, MINI)
    assert (outcome.status, outcome.size) == ("ok", "16x24")
    assert {"ms", "step ms"} & outcome.rows[0].keys()
    assert outcome.rows[-1].keys() == {"peak GB"}


def test_storage_compares_both_caches_at_each_context() -> None:
    rows = carry_out("storage", MINI).rows[:-1]
    assert [(row["keeps"], row["context"]) for row in rows] == [("both branches", 4), ("unrotated", 4)]


@pytest.mark.parametrize("name", ["graphs", "overlap"])
def test_what_needs_cuda_says_so(name: str) -> None:
    assert carry_out(name, MINI).status == "needs CUDA"


def test_a_missing_backend_is_a_row_of_its_own() -> None:
    rows = carry_out("attention", MINI).rows
    assert "failed" in next(row for row in rows if row.get("backend") == "sdpa-cudnn")
    assert "ms" in next(row for row in rows if row.get("backend") == "sdpa-math")


def test_a_failure_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(setup: Setup) -> list[Row]:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setitem(MEASUREMENTS, "attention", explode)
    outcome = carry_out("attention", MINI)
    assert (outcome.status, outcome.detail) == ("failed", "RuntimeError: CUDA out of memory")


def test_nothing_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    assert gpu_bench.main([str(tmp_path), "--device", "cpu", "--miniature", "--limit", "0"]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [result["name"] for result in results] == list(MEASUREMENTS)
    assert {result["status"] for result in results} == {"out of time"}
    assert "## machine, 16x24\n\n**out of time** after 0 s." in (tmp_path / "results.md").read_text()


def test_a_measurement_that_hangs_is_given_up(tmp_path: Path) -> None:
    options = gpu_bench.parse([str(tmp_path), "--device", "cpu", "--miniature"])
    outcome = gpu_bench.run_apart("machine", 0, "16x24", 0.1, options)
    assert (outcome.status, outcome.detail) == ("failed", "not done after 0 s")


def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    options = gpu_bench.parse([str(tmp_path), "--device", "cuda:99", "--miniature"])
    outcome = gpu_bench.run_apart("machine", 0, "16x24", 60.0, options)
    assert outcome.status == "failed"
    assert outcome.detail.startswith("exit code 1: ValueError: expected a device of this machine")


def test_one_measurement_writes_its_outcome(tmp_path: Path) -> None:
    out = tmp_path / "outcome.json"
    assert gpu_bench.main([str(out), "--device", "cpu", "--miniature", "--only", "pictures"]) == 0
    assert Outcome(**json.loads(out.read_text())).status == "ok"


def test_plan_measures_both_sizes_and_the_machine_once() -> None:
    names = [name for name in MEASUREMENTS for _ in range(1 if name in plan.ONCE else len(RELEASED.sizes))]
    assert len(names) == 2 * len(MEASUREMENTS) - len(plan.ONCE)
    assert RELEASED.sizes == ((480, 832), (352, 640))


def test_tables_have_the_columns_of_all_rows() -> None:
    outcome = Outcome("attention", "480x832", "ok", 1.0, [{"a": "x", "ms": 1.23456}, {"failed": "no"}])
    assert render([outcome]).splitlines()[2:6] == [
        "| a | ms | failed |",
        "|---|---|---|",
        "| x | 1.235 |  |",
        "|  |  | no |",
    ]


def test_compiling_is_compared_with_launching() -> None:
    rows = carry_out("compile", MINI).rows[:-1]
    assert [row["way"] for row in rows] == ["eager", "compiled"]


def test_yuv_on_the_device_is_what_the_encoder_would_make() -> None:
    squares = torch.rand(1, 3, 3, 4, generator=torch.Generator().manual_seed(0)).mul(2).sub(1)
    pixels = torch.nn.functional.interpolate(squares, scale_factor=16)
    ours = to_yuv420(pixels)[0].numpy().astype(int)
    theirs = convert_on_host(to_rgb(pixels).numpy(), VideoReformatter())[0].to_ndarray().astype(int)
    assert ours.shape == theirs.shape == (72, 64)
    assert np.abs(ours[:48] - theirs[:48]).max() <= 1
    # Chroma differs where colours meet: the mean of four pixels here, a longer filter there.
    assert np.median(np.abs(ours[48:] - theirs[48:])) <= 1


def test_yuv_of_primaries() -> None:
    colours = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, -1]])[:, :, None, None].expand(3, 3, 2, 2)
    planes = to_yuv420(colours)
    assert planes[:, 0, 0].tolist() == [16, 235, 63]
    assert planes[2, 2].tolist() == [102, 240]
