"""Weights in 8 bits: small, near to what was stored, and refused where scales do not fit."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from training.compact import compact
from worldplay.world.embedded.compact_weights import CompactWeights


def test_what_was_compacted_reads_back_within_half_a_level(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {
        "matrix": torch.randn(8, 64, generator=generator),
        "kernel": torch.randn(4, 3, 3, 3, 3, generator=generator),
        "bias": torch.randn(8, generator=generator),
        "zero": torch.zeros(2, 5),
    }
    save_file(compact(weights), tmp_path / "some.safetensors")
    stored = CompactWeights([tmp_path / "some.safetensors"])
    assert set(stored.keys) == set(weights)
    for name in ("matrix", "kernel", "zero"):
        level = weights[name].flatten(1).abs().amax(dim=1) / 127
        error = (stored.read(name) - weights[name]).flatten(1).abs().amax(dim=1)
        assert (error <= level * 0.5001).all()
        assert stored.dtype(name) == "F32"
        assert stored.shape(name) == tuple(weights[name].shape)
    torch.testing.assert_close(stored.read("bias"), weights["bias"].bfloat16())


def test_weights_that_are_not_compact_are_read_as_they_are(tmp_path: Path) -> None:
    save_file({"matrix": torch.ones(2, 2).half()}, tmp_path / "some.safetensors")
    assert CompactWeights([tmp_path / "some.safetensors"]).dtype("matrix") == "F16"


@pytest.mark.parametrize("scales", [torch.ones(3), torch.ones(2, 1)])
def test_scales_that_do_not_fit_are_refused(tmp_path: Path, scales: torch.Tensor) -> None:
    stored = {"matrix": torch.ones(2, 2, dtype=torch.int8), "matrix.scale": scales}
    save_file(stored, tmp_path / "some.safetensors")
    with pytest.raises(ValueError, match="do not match in matrix"):
        CompactWeights([tmp_path / "some.safetensors"]).read("matrix")


def test_a_matrix_in_8_bits_without_scales_keeps_its_dtype(tmp_path: Path) -> None:
    """So that it is refused as every other quantised number is."""
    save_file({"matrix": torch.ones(2, 2, dtype=torch.int8)}, tmp_path / "some.safetensors")
    assert CompactWeights([tmp_path / "some.safetensors"]).dtype("matrix") == "I8"
