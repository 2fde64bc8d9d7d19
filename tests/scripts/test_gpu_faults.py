"""A measurement that finds a fault has failed; wrong arguments get a sentence; the others still go on."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import check_goldens
import gpu_bench
import gpu_checks
import gpu_scaling
from goldens.cases import Manifest, Place
from gpu import checks, plan, scaling
from gpu.goldens import measure_goldens
from gpu.linears import is_lack
from gpu.plan import CHECKS, LIMIT_S, LIMITS_S, MEASUREMENTS
from gpu.scaling import list_speed_ups
from gpu.setup import MINIATURE, RELEASED, Outcome, Row, Setup
from worldplay.model.vae_stream import Prepare
from worldplay.world import tiers

MINI = Setup(MINIATURE, MINIATURE.sizes[0], torch.device("cpu"))
HERE = ["--device", "cpu", "--miniature"]


def carry_out(name: str) -> Outcome:
    return list(plan.carry_out(name, MINI))[-1]


def test_goldens_that_differ_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(manifest: Manifest, name: str, place: Place) -> check_goldens.Row:
        is_off = name == "rollout" and place.dtype == torch.float32
        return check_goldens.Row(name, 1, 0.1, 0.1, "0/0", ["latents differ by 3.0"] if is_off else [])

    monkeypatch.setattr(check_goldens, "check_case", check)
    outcome = carry_out("goldens")
    assert (outcome.status, outcome.detail) == ("failed", "1 of 40 checks failed: rollout in torch.float32")
    assert outcome.rows[-2]["case"] == "all: 19 of 20 passed"


def test_goldens_that_are_missing_have_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gpu.goldens.GOLDENS", tmp_path)
    assert carry_out("goldens").status == "failed"
    assert measure_goldens is MEASUREMENTS["goldens"]


@pytest.mark.parametrize("code", [1, 2, 5, -11])
def test_tests_that_fail_or_are_not_found_have_failed(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        found = code if command[-1].endswith("test_tiers.py") else 0
        return subprocess.CompletedProcess(command, found, "1 test in 0.02s\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    outcome = carry_out("gpu tests")
    assert (outcome.status, outcome.detail) == ("failed", f"test_tiers.py: exit code {code}")
    assert len(outcome.rows) == len(checks.GPU_TESTS)


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        ("they are off by 20 % here", "failed"),
        ("they fail here (CUDA error)", "failed"),
        ("a cpu would only emulate them", "ok"),
        (None, "ok"),
    ],
)
def test_8_bit_products_that_are_wrong_have_failed(
    problem: str | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_rounding_problem", lambda device: problem)
    outcome = carry_out("8-bit units")
    assert outcome.status == status
    assert outcome.detail == (f"8-bit products: {problem}" if status == "failed" else "")


def test_a_gpu_without_8_bit_units_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    said = tiers.find_rounding_problem(torch.device("cuda"))
    assert is_lack(said or "")
    assert is_lack(tiers.find_rounding_problem(torch.device("cpu")) or "")


def test_fused_norms_that_are_wrong_have_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Prepare = checks.plain_surround
    rows = list(checks.compare_norms(MINI, lambda x, gamma, past: plain(x, gamma, past) * 1.2))
    assert len(rows) > 1
    assert max(float(row["rms error"]) for row in rows) == pytest.approx(0.2, rel=0.01)
    monkeypatch.setattr(checks, "compare_norms", lambda *_: iter(rows))
    outcome = carry_out("fused norms")
    assert (outcome.status, outcome.rows) == ("failed", rows)
    assert outcome.detail.startswith("the fused norm is off by 20 % at ")


def test_a_size_that_could_not_be_measured_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Row] = [{"size": "480x832", "room": 0}, {"size": "240x416", "room": 2}]
    monkeypatch.setattr(checks, "_measure_all_sizes", lambda setup: iter(rows))
    outcome = carry_out("auto size")
    assert (outcome.status, outcome.rows) == ("failed", rows)
    assert outcome.detail == "240x416 fits into memory, but could not be measured"


@pytest.mark.parametrize(
    ("name", "rows", "status"),
    [
        ("passes", [{"way": "launched"}, {"way": "compiled", "failed": "no compiler"}], "failed"),
        ("decode", [{"way": "float32", "failed": "out of memory"}], "failed"),
        ("attention", [{"backend": "sdpa"}, {"backend": "sage", "failed": "no kernel"}], "ok"),
        ("attention", [{"backend": "sdpa", "failed": "x"}, {"backend": "sage", "failed": "x"}], "failed"),
        ("linears", [{"layer": "output", "failed": "it failed"}], "failed"),
        ("machine", [], "failed"),
    ],
)
def test_rows_that_failed_fail_what_needs_them_all(
    name: str, rows: list[Row], status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MEASUREMENTS, name, lambda setup: iter(rows))
    outcome = carry_out(name)
    assert (outcome.status, outcome.rows[: len(rows)]) == (status, rows)


def end(code: int, outcome: Outcome | None, tmp_path: Path) -> Outcome:
    """Let a process end that has left an outcome."""

    class Ended:
        def run(self, limit_s: float) -> int:
            if outcome is not None:
                gpu_bench.write_outcome(tmp_path / "outcome.json", outcome)
            return code

        def read_log(self) -> str:
            return "last words"

    options = gpu_bench.parse([str(tmp_path), *HERE])
    step = plan.Step("machine", 0, "16x24")
    return gpu_bench.run_apart(step, 9.0, options, Ended())  # type: ignore[arg-type]  # it is what is used


@pytest.mark.parametrize(
    ("code", "left", "status", "detail"),
    [
        (0, Outcome("machine", "16x24", "ok", 1.0), "ok", ""),
        (1, Outcome("machine", "16x24", "failed", 1.0, [], "off by 20 %"), "failed", "off by 20 %"),
        (1, Outcome("machine", "16x24", "needs CUDA", 1.0), "needs CUDA", ""),
        (1, Outcome("machine", "16x24", "ok", 1.0), "failed", "exit code 1: last words"),
        (-11, Outcome("machine", "16x24", "", 1.0), "failed", "exit code -11: last words"),
        (0, None, "failed", "exit code 0: last words"),
    ],
)
def test_a_process_and_what_it_left_must_agree(
    code: int, left: Outcome | None, status: str, detail: str, tmp_path: Path
) -> None:
    outcome = end(code, left, tmp_path)
    assert (outcome.status, outcome.detail) == (status, detail)
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("failed", 1), ("needs CUDA", 1)])
def test_one_measurement_tells_by_its_exit_code(
    status: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_bench, "carry_out", lambda *_: iter([Outcome("machine", "", status, 1.0)]))
    assert gpu_bench.main([str(tmp_path / "a.json"), "--only", "machine", *HERE]) == code
    assert json.loads((tmp_path / "a.json").read_text())["status"] == status


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        (("ok", "needs CUDA", "out of time"), 0),
        (("ok", "failed"), 1),
        (("out of time", "out of time"), 1),
        (("needs CUDA", "too few GPUs"), 1),
        ((), 1),
    ],
)
def test_a_plan_that_measured_nothing_has_failed(
    statuses: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_all(steps: object, options: object) -> Iterator[Outcome]:
        yield from (Outcome("machine", "", status, 1.0) for status in statuses)

    monkeypatch.setattr(gpu_bench, "run_all", run_all)
    assert gpu_bench.main([str(tmp_path), *HERE]) == code


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["{}", "--limit", "-3"], "argument --limit: expected seconds over 0, got '-3'"),
        (["{}", "--limit", "nan"], "argument --limit: expected seconds over 0, got 'nan'"),
        (["{}", "--only", "decode"], "expected OUT to be a .json file with --only, got "),
        (["{}/a.json"], "expected OUT to be a folder without --only, got "),
        (["{}/a.json", "--only", "decode", "--number", "7"], "expected --number 0 with --miniature, got 7"),
        (["{}/a.json", "--only", "decode", "--number", "-1"], "expected --number 0 with --miniature, got -1"),
        (["{}", "--number", "0"], "--number has no effect without --only"),
        (["{}", "--wait"], "--wait has no effect without --only"),
        (["{}/file"], "expected a folder, got the file "),
        (["{}/file/below"], "expected a folder, got the file "),
        (["{}/missing/a.json", "--only", "decode"], "cannot write "),
        (["{}", "--device", "cuda:99"], "expected a device of this machine, got 'cuda:99'"),
        (["{}", "--device", "tpu"], "expected a device like"),
    ],
)
def test_wrong_arguments_get_a_sentence(
    arguments: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    given = [each.format(tmp_path) for each in arguments]
    with pytest.raises(SystemExit) as ended:
        gpu_bench.main([*given, *([] if "--device" in given else ["--device", "cpu"]), "--miniature"])
    assert ended.value.code == 2
    assert expected in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("main", [gpu_checks.main, gpu_scaling.main])
def test_wrong_arguments_of_the_other_plans_get_a_sentence(main: object, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in ([str(tmp_path / "file")], [str(tmp_path), "--limit", "0"]):
        with pytest.raises(SystemExit) as ended:
            main([*wrong, *HERE])  # type: ignore[operator]  # both are functions of arguments
        assert ended.value.code == 2


def test_a_walk_has_time_to_compile_and_the_most_useful_steps_fit() -> None:
    assert CHECKS["server"] is MEASUREMENTS["walk"]
    assert LIMITS_S["walk"] == LIMITS_S["server"] >= 100
    names = [step.name for step in plan.list_steps(RELEASED)]
    first = names[: names.index("passes") + 1]
    assert "walk" in first
    assert sum(LIMITS_S.get(name, LIMIT_S) for name in first) <= gpu_bench.TIME_LIMIT_S


def served(ranks: int, ms: float) -> Outcome:
    row: Row = {"ranks": ranks, "part": "chunk, as served", "ms": ms}
    return Outcome(f"ranks {ranks}", "480x832", "ok", 1.0, [row])


def test_ranks_are_compared_with_what_one_gpu_serves() -> None:
    failed = Outcome("ranks 8", "480x832", "failed", 1.0, [{"part": "chunk", "ms": 1.0}])
    (outcome,) = list_speed_ups([served(1, 3200.0), served(2, 2000.0), served(4, 1000.0), failed])
    assert (outcome.name, outcome.size, outcome.status) == ("speed-up", "480x832", "ok")
    assert outcome.rows == [
        {"ranks": 1, "chunk ms, as served": 3200.0, "times as fast as one": 1.0, "efficiency": 1.0},
        {"ranks": 2, "chunk ms, as served": 2000.0, "times as fast as one": 1.6, "efficiency": 0.8},
        {"ranks": 4, "chunk ms, as served": 1000.0, "times as fast as one": 3.2, "efficiency": 0.8},
    ]
    assert list_speed_ups([served(2, 2000.0)]) == []
    assert scaling.SERVED == "chunk, as served"
