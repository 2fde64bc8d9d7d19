"""Where a model computes, and in which numbers."""

import pytest
import torch

from worldplay.world.device import choose_device, choose_dtype, choose_vae_dtype


@pytest.mark.parametrize("name", ["abacus", "cuda:99", "mps"])
def test_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match=f"got '{name}'"):
        choose_device(name)


def test_device_of_this_machine() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize(
    ("kind", "is_fast", "dtype"),
    [("cpu", True, torch.bfloat16), ("cpu", False, torch.float32), ("cuda", False, torch.bfloat16)],
)
def test_bfloat16_is_used_where_the_hardware_multiplies_it(
    kind: str, is_fast: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: is_fast)
    assert choose_dtype(torch.device(kind)) == dtype


def test_autoencoder_has_the_finer_numbers_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_vae_dtype(torch.device("cuda")) == torch.float16
    for is_fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda is_fast=is_fast: is_fast)
        assert choose_vae_dtype(torch.device("cpu")) == choose_dtype(torch.device("cpu"))
