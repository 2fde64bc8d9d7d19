"""The GPU's measuring plan in miniature, on a CPU: its logic, not its numbers."""

import argparse
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

import gpu_bench
from goldens.cases import read_manifest
from gpu import checks, goldens, plan
from gpu.linears import multiply, quantise
from gpu.plan import MEASUREMENTS, Step
from gpu.setup import MINIATURE, RELEASED, Outcome, Row, Setup
from gpu.tables import render
from gpu.tiers import _decode_tiny
from support.paths import GOLDENS

pytestmark = pytest.mark.slow

MINI = Setup(MINIATURE, MINIATURE.sizes[0], torch.device("cpu"))


def carry_out(name: str, setup: Setup) -> Outcome:
    """Carry out a measurement to its end."""
    return list(plan.carry_out(name, setup))[-1]


@cache
def measure(name: str) -> Outcome:
    """Carry out a measurement in miniature, once for all tests."""
    return carry_out(name, MINI)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("machine", "TFLOP/s"),
        ("chunk", "median_ms"),
        ("passes", "step ms"),
        ("tiers", "step ms"),
        ("attention", "ms"),
        ("decode", "ms a latent"),
        ("compiled decode", "ms a latent"),
        ("linears", "bf16 ms"),
        ("kernels", "ms"),
        ("storage", "step ms"),
        ("pictures", "ms"),
        ("launches", "per block and step"),
    ],
)
def test_measurements_run_in_miniature(name: str, column: str) -> None:
    outcome = measure(name)
    assert (outcome.status, outcome.size, outcome.detail) == ("ok", "16x24", "")
    assert column in outcome.rows[0]
    assert outcome.rows[-1].keys() == {"peak GB"}


@torch.inference_mode()
def test_the_tiny_decoder_is_timed_in_the_middle_of_a_stream() -> None:
    decode = _decode_tiny(MINI)
    assert [tuple(decode().shape)[1:3] for _ in range(2)] == [(3, 1), (3, 4)]


def test_goldens_are_summed_up_for_both_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few cases: test_check_goldens.py checks all of them in both dtypes."""
    manifest = read_manifest(GOLDENS)
    few = {name: manifest.cases[name] for name in ("camera", "transformer_context", "transformer_denoise")}
    monkeypatch.setattr(goldens, "read_manifest", lambda folder: replace(manifest, cases=few))
    *rows, single, half, _ = carry_out("goldens", MINI).rows
    assert [row["case"] for row in rows] == [*few, *few]
    assert {row["verdict"] for row in rows} == {"ok"}
    assert (single["case"], single["dtype"]) == (
        "all: 3 of 3 passed",
        "torch.float32",
    )
    assert (half["case"], half["dtype"]) == (single["case"], "torch.bfloat16")
    assert float(single["largest relative"]) < 1e-5 < float(half["largest relative"]) < 0.1


@pytest.mark.parametrize("name", ["embedded walk", "walk"])
def test_walks_go_through_the_server(name: str) -> None:
    outcome = carry_out(name, MINI)
    assert (outcome.status, outcome.detail) == ("ok", "")
    _, fast, played, _ = outcome.rows
    for row in (fast, played):
        assert int(row["frames"]) > 13
        assert float(row["first frame s"]) > 0
        assert float(row["key to fragment ms"]) > 0
    assert float(played["stalled s"]) >= 0


def test_decoders_are_compared_with_float32() -> None:
    errors = {row["way"]: row["rms error"] for row in measure("decode").rows if "rms error" in row}
    assert errors["fp16, norms in float32"] == pytest.approx(errors["fp16, fused norms"], rel=0.1)
    assert float(errors["fp16, norms in float32"]) < float(errors["bf16, as served"]) / 4


def test_both_ways_to_run_a_pass_are_compared() -> None:
    rows = measure("passes").rows[:-1]
    assert [row["way"] for row in rows] == ["launched", "compiled"]


def test_rows_are_rounded_to_8_bits_by_their_own_scale() -> None:
    x = torch.tensor([[1.0, -2.0], [100.0, 50.0]]).repeat(1, 8).bfloat16()
    small, scale = quantise(x)
    assert (small.float() * scale).allclose(x.float(), rtol=0.07)
    identity = torch.eye(16).bfloat16()
    assert multiply((small, scale), quantise(identity)).allclose(x, rtol=0.07)


def test_storage_compares_both_caches_at_each_context() -> None:
    rows = measure("storage").rows[:-1]
    assert [(row["keeps"], row["context"]) for row in rows] == [("both branches", 4), ("unrotated", 4)]


@pytest.mark.parametrize("name", ["graphs", "overlap"])
def test_what_needs_cuda_says_so(name: str) -> None:
    assert carry_out(name, MINI).status == "needs CUDA"


def test_ranks_are_timed_with_what_they_exchange() -> None:
    threads = torch.get_num_threads()
    outcome = carry_out("ranks 2", MINI)
    torch.set_num_threads(threads)
    assert (outcome.status, outcome.detail) == ("ok", "")
    context, step, latent, chunk, alone, served, balanced, fast, _ = outcome.rows
    assert [row["part"] for row in (context, step, latent)] == ["context", "step", "latent"]
    assert [row["exchanges"] for row in (context, step)] == [3, 5]  # the last block only stores its keys
    for row in (context, step, latent):
        assert float(row["MB sent"]) > 0
        assert 0 < float(row["share of exchange"]) < 1
    assert min(float(chunk["ms"]), float(chunk["exchange ms"])) > 0
    assert alone["part"] == "latent, on rank 0 alone"
    assert (served["part"], served["computed"]) == ("chunk, as served", "launched one by one")
    assert [row["part"] for row in (balanced, fast)] == [
        f"chunk, as served, tier {t}" for t in ("balanced", "fast")
    ]
    assert min(float(row["ms"]) for row in (served, balanced, fast)) > 0


@pytest.mark.parametrize("name", ["encoder", "8-bit units", "fused norms", "backends"])
def test_checks_run_in_miniature(name: str) -> None:
    outcome = carry_out(name, MINI)
    assert (outcome.status, outcome.detail) == ("ok", "")
    assert len(outcome.rows) > 1
    assert {row.get("largest difference", 0) for row in outcome.rows} == {0}


def test_tests_are_run_and_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, "F.\n1 failed, 1 passed in 0.02s\nNOT SELECTED\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    (row,) = checks.run_tests([Path("tests/test_two.py")])
    assert (row["tests"], row["exit code"], row["said"]) == ("test_two.py", 1, "1 failed, 1 passed in 0.02s")
    assert commands[0][1:3] == ["-m", "pytest"]
    assert commands[0][-1] == "tests/test_two.py"


def test_checks_are_in_order_of_worth_and_fit_their_time() -> None:
    steps = plan.list_checks(RELEASED)
    assert [step.name for step in steps] == list(plan.CHECKS)
    assert {step.size for step in steps if step.name != "backends"} == {"240x416"}
    assert next(step.size for step in steps if step.name == "backends") == "480x832"
    for name in checks.GPU_TESTS:
        assert (checks.TESTS / name).is_file()


def test_ranks_need_as_many_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    outcome = carry_out("ranks 2", Setup(MINIATURE, MINIATURE.sizes[0], torch.device("cuda")))
    assert (outcome.status, outcome.rows) == ("too few GPUs", [])


def test_scaling_is_measured_at_all_sizes_the_largest_first() -> None:
    steps = [(step.name, step.size) for step in plan.list_scaling_steps(RELEASED)]
    assert steps[:5] == [*((f"ranks {count}", "480x832") for count in (1, 2, 4, 8)), ("ranks 1", "352x640")]
    assert len(steps) == 12
    assert [step.name for step in plan.list_scaling_steps(MINIATURE)] == ["ranks 1", "ranks 2"]


def test_a_missing_backend_is_a_row_of_its_own() -> None:
    rows = measure("attention").rows
    assert "failed" in next(row for row in rows if row.get("backend") == "sdpa-cudnn")
    assert "ms" in next(row for row in rows if row.get("backend") == "sdpa-math")


def test_a_failure_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(setup: Setup) -> list[Row]:
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setitem(MEASUREMENTS, "attention", explode)
    outcome = carry_out("attention", MINI)
    assert (outcome.status, outcome.detail) == ("failed", "RuntimeError: CUDA out of memory")


def test_what_was_found_before_a_failure_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(setup: Setup) -> Iterator[Row]:
        yield {"ms": 1.0}
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setitem(MEASUREMENTS, "attention", explode)
    outcome = carry_out("attention", MINI)
    assert (outcome.status, outcome.rows) == ("failed", [{"ms": 1.0}])
    assert render([outcome]).splitlines()[2:] == [
        "**failed** after 0 s. RuntimeError: CUDA out of memory",
        "",
        "| ms |",
        "|---|",
        "| 1 |",
    ]


def test_nothing_is_begun_when_the_time_is_up_and_that_is_no_success(tmp_path: Path) -> None:
    assert gpu_bench.main([str(tmp_path), "--device", "cpu", "--miniature", "--limit", "1"]) == 1
    results = json.loads((tmp_path / "results.json").read_text())
    assert [result["name"] for result in results] == list(MEASUREMENTS)
    assert {result["status"] for result in results} == {"out of time"}
    assert "## machine, 16x24\n\n**out of time** after 0 s." in (tmp_path / "results.md").read_text()


def run_apart(name: str, limit_s: float, options: argparse.Namespace) -> Outcome:
    step = Step(name, 0, "16x24")
    return gpu_bench.run_apart(step, limit_s, options, gpu_bench.start(step, options))


def test_a_measurement_that_hangs_is_given_up(tmp_path: Path) -> None:
    options = gpu_bench.parse([str(tmp_path), "--device", "cpu", "--miniature"])
    outcome = run_apart("machine", 0.1, options)
    assert (outcome.status, outcome.detail) == ("failed", "not done after 0 s")


def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    options = gpu_bench.parse([str(tmp_path), "--device", "cuda:99", "--miniature"])
    outcome = run_apart("machine", 60.0, options)
    assert outcome.status == "failed"
    assert outcome.detail.startswith("exit code 1: ValueError: expected a device of this machine")
    assert "== machine 16x24\nTraceback" in (tmp_path / "log.txt").read_text()


def test_a_process_measures_in_a_group_of_its_own_which_ends(tmp_path: Path) -> None:
    options = gpu_bench.parse([str(tmp_path), "--device", "cpu", "--miniature"])
    process = gpu_bench.start(Step("machine", 0, "16x24"), options)
    process.end()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert process.read_log() == ""


def test_one_measurement_runs_apart(tmp_path: Path) -> None:
    options = gpu_bench.parse([str(tmp_path), "--device", "cpu", "--miniature"])
    outcome = run_apart("pictures", 60.0, options)
    assert (outcome.status, outcome.detail) == ("ok", "")
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


def test_one_measurement_writes_its_outcome(tmp_path: Path) -> None:
    out = tmp_path / "outcome.json"
    assert gpu_bench.main([str(out), "--device", "cpu", "--miniature", "--only", "pictures"]) == 0
    assert Outcome(**json.loads(out.read_text())).status == "ok"


def test_plan_measures_all_sizes_and_the_machine_once() -> None:
    steps = plan.list_steps(RELEASED)
    sizes = {name: [step.size for step in steps if step.name == name] for name in MEASUREMENTS}
    assert sizes["machine"] == ["480x832"]
    assert sizes["walk"] == ["240x416"]
    assert sizes["chunk"] == sizes["attention"] == ["480x832", "352x640", "240x416"]
    assert sizes["passes"] == ["240x416", "480x832", "352x640"]
    assert [step.name for step in steps[-2:]] == ["passes", "passes"]
    assert RELEASED.sizes == ((480, 832), (352, 640), (240, 416))


def test_tables_have_the_columns_of_all_rows() -> None:
    outcome = Outcome("attention", "480x832", "ok", 1.0, [{"a": "x", "ms": 1.23456}, {"failed": "no"}])
    assert render([outcome]).splitlines()[2:6] == [
        "| a | ms | failed |",
        "|---|---|---|",
        "| x | 1.235 |  |",
        "|  |  | no |",
    ]
