"""What this machine's processor can do."""

from pathlib import Path

import pytest
import torch

from worldplay.world import processor
from worldplay.world.device import choose_dtype
from worldplay.world.processor import count_usable_cores, has_bf16_cpu


def test_processor_is_judged_as_torch_does() -> None:
    assert has_bf16_cpu() == (choose_dtype(torch.device("cpu")) == torch.bfloat16)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("150000 100000", 1), ("400000 100000", 4), ("50000 100000", 1), ("", 8)],
)
def test_usable_cores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(processor, "CGROUP_CPU", tmp_path / "cpu.max")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(8)))
    assert count_usable_cores() == cores
