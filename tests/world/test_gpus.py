"""This machine's GPUs, with a driver that is a list of them."""

import re
from dataclasses import dataclass

import pynvml
import pytest
import torch

from worldplay.world import gpus
from worldplay.world.gpus import (
    CONTEXT_BYTES,
    Gpu,
    check_heads,
    choose_rank_kind,
    choose_visible,
    find_gpu,
    list_gpus,
    parse_device,
)

UUIDS = ["GPU-aa11", "GPU-ab22", "GPU-cc33"]


@dataclass
class Memory:
    free: int
    total: int


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three GPUs; a handle is a GPU's number."""
    monkeypatch.setattr(gpus, "version", lambda package: "2.13.0")
    for name, answer in {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 3,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetUUID": lambda handle: UUIDS[handle],
        "nvmlDeviceGetName": lambda handle: f"GPU {handle}",
        "nvmlDeviceGetMemoryInfo": lambda handle: Memory(free=(handle + 1) * 10**9, total=80 * 10**9),
    }.items():
        monkeypatch.setattr(pynvml, name, answer)


@pytest.mark.usefixtures("driver")
def test_gpu_that_is_named() -> None:
    first, second = Gpu("GPU 0", 10**9 - CONTEXT_BYTES, 80 * 10**9), "GPU 1"
    assert find_gpu("auto", None) == find_gpu("cuda", None) == find_gpu("cuda:0", None) == first
    found = find_gpu("cuda:1", None)
    assert found is not None
    assert found.name == second
    assert find_gpu("cpu", None) is None


@pytest.mark.usefixtures("driver")
def test_gpus_are_those_that_cuda_shows() -> None:
    assert [gpu.name for gpu in list_gpus("2,0")] == ["GPU 2", "GPU 0"]
    assert find_gpu("auto", "") is None
    with pytest.raises(ValueError, match="expected a device of this machine, got 'cuda:1'; use --device cpu"):
        find_gpu("cuda:1", "2")


@pytest.mark.parametrize(
    ("visible", "chosen"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("1", [1]),
        (" 2, 0", [2, 0]),
        ("0,-1,2", [0]),
        ("0,7,1", [0]),
        ("0,0", []),
        ("GPU-ab", [1]),
        ("GPU-cc33,GPU-aa11", [2, 0]),
        ("GPU-a", []),
        ("none", []),
    ],
)
def test_visible_devices(visible: str | None, chosen: list[int]) -> None:
    assert choose_visible(visible, UUIDS) == chosen


@pytest.mark.parametrize(
    "name", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetMemoryInfo"]
)
@pytest.mark.usefixtures("driver")
def test_driver_that_fails_is_no_gpu(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def fail(*_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)

    monkeypatch.setattr(pynvml, name, fail)
    assert find_gpu("auto", None) is None
    with pytest.raises(ValueError, match="got 'cuda'; use --device cpu"):
        find_gpu("cuda", None)


@pytest.mark.usefixtures("driver")
def test_torch_without_cuda_sees_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "version", lambda package: "2.13.0+cpu")
    assert list_gpus(None) == []


def test_machine_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "version", lambda package: "2.13.0")
    assert len(list_gpus(None)) == torch.cuda.device_count()


@pytest.mark.parametrize(
    ("name", "device"), [("cpu", ("cpu", 0)), ("cuda", ("cuda", 0)), ("cuda:12", ("cuda", 12))]
)
def test_device(name: str, device: tuple[str, int]) -> None:
    assert parse_device(name) == device


@pytest.mark.parametrize(
    "name", ["", "gpu", "mps", "cuda:", "cuda:-1", "cuda:x", "cuda:01", "cuda:99999", "CPU"]
)
def test_name_of_no_device(name: str) -> None:
    with pytest.raises(ValueError, match=f"expected a device like 'cpu', 'cuda' or 'cuda:0', got '{name}'"):
        parse_device(name)


@pytest.mark.parametrize(
    ("device", "names", "kind"),
    [
        ("cpu", [], "cpu"),
        ("cpu", ["H100"], "cpu"),
        ("auto", ["H100"] * 2, "cuda"),
        ("cuda", ["H100"] * 8, "cuda"),
    ],
)
def test_where_two_ranks_run(device: str, names: list[str], kind: str) -> None:
    assert choose_rank_kind(device, 2, names) == kind


@pytest.mark.parametrize(
    ("device", "names", "reason"),
    [
        (
            "auto",
            [],
            "--gpus 2 needs GPUs, and finds none; with --device cpu they are processes",
        ),
        ("cuda", ["H100"], "expected at most --gpus 1, which is all there are, got 2"),
        ("cuda:1", ["H100"] * 2, "expected --device auto, cuda or cpu with --gpus 2, got 'cuda:1'"),
        ("auto", ["H100", "L40S"], "expected equal GPUs, got H100 and L40S; choose by CUDA_VISIBLE_DEVICES"),
    ],
)
def test_where_two_ranks_cannot_run(device: str, names: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        choose_rank_kind(device, 2, names)


def test_heads_must_be_shared_equally() -> None:
    check_heads(8, 16)
    with pytest.raises(ValueError, match=r"expected --gpus 1, 2, 4, 8, 16, which divide .* 16 heads, got 3"):
        check_heads(3, 16)
