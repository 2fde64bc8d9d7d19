"""The golden checker: every public case passes, and nothing that is wrong does."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import check_goldens
from goldens.cases import Case, Place, load_case, read_manifest
from goldens.compare import Tolerance, compare, tolerance_of
from support.paths import GOLDENS

MANIFEST = read_manifest(GOLDENS)
WITHOUT_NETWORKS = {"camera", "cond", "memory", "primitives", "scheduler"}


@pytest.mark.parametrize("name", MANIFEST.cases)
def test_public_case(name: str) -> None:
    row = check_goldens.check_case(MANIFEST, name)
    assert row.failures == []
    assert row.outputs == len(MANIFEST.cases[name]["outputs"])
    assert row.relative is not None
    assert row.relative < 1e-5


@pytest.mark.parametrize("name", MANIFEST.cases)
def test_bfloat16_is_reported_without_a_tolerance(name: str) -> None:
    row = check_goldens.check_case(MANIFEST, name, Place(dtype=torch.bfloat16))
    assert row.failures == []
    assert row.relative is not None
    if MANIFEST.cases[name]["kind"] in WITHOUT_NETWORKS:
        assert row.relative < 1e-5
    else:
        assert 1e-4 < row.relative < 0.1


def test_bfloat16_must_still_be_finite() -> None:
    case = make_case(outputs={"a": torch.zeros(1)}, place=Place(dtype=torch.bfloat16))
    assert compare(case, {"a": torch.ones(1)}).failures == []
    assert len(compare(case, {"a": torch.tensor([float("nan")])}).failures) == 1
    assert len(compare(case, {"a": torch.tensor([float("inf")])}).failures) == 1


def test_relative_error_is_of_the_largest_expected_number() -> None:
    case = make_case(outputs={"a": torch.tensor([1.0, -4.0])})
    assert compare(case, {"a": torch.tensor([1.0, -5.0])}).largest_relative == 0.25


def test_device_and_dtype_are_options(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_goldens.main([str(scheduler_only), "--device", "cpu", "--dtype", "bfloat16"]) == 0
    assert "all passed" in capsys.readouterr().out


@pytest.fixture
def scheduler_only(tmp_path: Path) -> Path:
    """A copy of the goldens with the scheduler's case alone."""
    document = json.loads((GOLDENS / "manifest.json").read_text())
    document["cases"] = {"scheduler": document["cases"]["scheduler"]}
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    shutil.copy(GOLDENS / "scheduler.safetensors", tmp_path)
    return tmp_path


def edit_manifest(directory: Path, **changes: object) -> None:
    path = directory / "manifest.json"
    document = json.loads(path.read_text())
    document["cases"]["scheduler"].update(changes)
    path.write_text(json.dumps(document))


def edit_tensor(directory: Path, name: str, change: float) -> None:
    path = directory / "scheduler.safetensors"
    tensors = load_file(path)
    tensors[name][0] += change
    save_file(tensors, path)


def test_good_directory_passes(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_goldens.main([str(scheduler_only)]) == 0
    assert "all passed" in capsys.readouterr().out


def test_small_deviation_fails(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_tensor(scheduler_only, "out.sigmas.steps4.shift5", 1e-4)
    assert check_goldens.main([str(scheduler_only)]) == 1
    assert "sigmas.steps4.shift5: error 0.0001 over atol 1e-06" in capsys.readouterr().out


def test_nan_fails(scheduler_only: Path) -> None:
    edit_tensor(scheduler_only, "out.sigmas.steps4.shift5", float("nan"))
    assert check_goldens.main([str(scheduler_only)]) == 1


def test_missing_file_fails(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (scheduler_only / "scheduler.safetensors").unlink()
    assert check_goldens.main([str(scheduler_only)]) == 1
    assert "cannot read scheduler.safetensors" in capsys.readouterr().out


def test_truncated_file_fails(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = scheduler_only / "scheduler.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert check_goldens.main([str(scheduler_only)]) == 1
    assert "cannot read scheduler.safetensors" in capsys.readouterr().out


def test_unknown_kind_fails(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_manifest(scheduler_only, kind="telepathy")
    assert check_goldens.main([str(scheduler_only)]) == 1
    assert "unknown kind 'telepathy'" in capsys.readouterr().out


def test_output_that_the_manifest_lists_but_the_file_lacks_fails(
    scheduler_only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_manifest(scheduler_only, outputs={"sigmas.steps4.shift5": [[5], "float32"]})
    assert check_goldens.main([str(scheduler_only)]) == 1
    assert "the file and the manifest differ in out." in capsys.readouterr().out


def test_missing_dependency_fails(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_manifest(scheduler_only, depends_on="nothing")
    assert check_goldens.main([str(scheduler_only)]) == 1
    assert "expected a case 'nothing'" in capsys.readouterr().out


def test_wrong_weight_rule_fails(scheduler_only: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = scheduler_only / "manifest.json"
    document = json.loads(path.read_text())
    document["weight_rule"]["checks"]["action_in.mlp.2.bias"]["first"][0] += 1e-6
    path.write_text(json.dumps(document))
    assert check_goldens.main([str(scheduler_only)]) == 1
    assert "action_in.mlp.2.bias: expected" in capsys.readouterr().out


def test_directory_without_a_manifest_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_goldens.main([str(tmp_path)]) == 1
    assert "expected a JSON manifest" in capsys.readouterr().out


def make_case(**fields: object) -> Case:
    values = {"name": "", "kind": "", "meta": {}, "tolerance": {"atol": 1e-3, "rtol": 0}, "inputs": {}}
    return Case(**{**values, "outputs": {}, "dependency": None, **fields})  # type: ignore[arg-type]


def test_output_that_is_not_produced_fails() -> None:
    case = make_case(outputs={"a": torch.zeros(1), "b": torch.zeros(1)})
    assert compare(case, {"a": torch.zeros(1)}).failures == ["b: not produced"]


def test_other_shape_fails() -> None:
    case = make_case(outputs={"a": torch.zeros(2)})
    assert compare(case, {"a": torch.zeros(2, 1)}).failures == ["a: expected shape [2], got [2, 1]"]


def test_integers_are_exact() -> None:
    case = make_case(outputs={"a": torch.tensor([1000])}, tolerance={"atol": 10, "rtol": 0})
    assert len(compare(case, {"a": torch.tensor([1001])}).failures) == 1


def test_special_tolerances() -> None:
    rules = {"atol": 1e-9, "rtol": 1e-9, "action": "exact", "pixels": "atol 0.016 (two levels)"}
    case, value = make_case(tolerance=rules), torch.zeros(1)
    assert tolerance_of(case, "motion.0.action", value) == Tolerance(0, 0)
    assert tolerance_of(case, "pixels.odd", value) == Tolerance(0.016, 1e-9)
    assert tolerance_of(case, "motion.0.w2c", value) == Tolerance(1e-9, 1e-9)


@pytest.mark.parametrize(
    ("near_ties", "distances", "passes"),
    [([24], [0.5, 0.5004], True), ([24], [0.5, 0.502], False), ([], [0.5, 0.5004], False)],
)
def test_other_selection_passes_at_a_near_tie_only(
    near_ties: list[int], distances: list[float], passes: bool
) -> None:
    selections = {
        start: torch.tensor([0, 1, 2, 3, *range(start, start + 4), *range(12, 24)]) for start in (4, 8)
    }
    outputs = {"selected.24": selections[4], "distance.24": torch.tensor(distances)}
    case = make_case(outputs=outputs, meta={"near_ties": near_ties})
    verdict = compare(case, {"selected.24": selections[8], "distance.24": torch.tensor(distances)})
    assert (verdict.failures == []) == passes


def test_case_brings_the_case_it_depends_on() -> None:
    case = load_case(MANIFEST, "transformer_denoise")
    assert case.dependency is not None
    assert case.dependency.name == "transformer_context"
