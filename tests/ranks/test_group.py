"""How a rank joins the others, and leaves them without waiting for those that have ended."""

from pathlib import Path
from threading import Event

import pytest
import torch
import torch.distributed as dist

from worldplay.ranks import group
from worldplay.ranks.group import join_group, leave_group

NCCL_ERROR = """NCCL error in: /pytorch/NCCLUtils.cpp:94, unhandled system error, NCCL version 2.29.3
ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.
Last error:
Error while creating shared memory segment /dev/shm/nccl-1 (size 9637888)"""


@pytest.mark.parametrize(("backend", "calls"), [("nccl", ["abort"]), ("gloo", ["destroy"]), (None, [])])
def test_group_is_left_without_the_others(
    monkeypatch: pytest.MonkeyPatch, backend: str | None, calls: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(dist, "is_initialized", lambda: backend is not None)
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: done.append("destroy"))
    monkeypatch.setattr(group, "_abort_process_group", lambda: done.append("abort"))
    assert leave_group()
    assert done == calls


def test_nccl_that_does_not_let_go_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = Event()
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_backend", lambda: "nccl")
    monkeypatch.setattr(group, "_abort_process_group", let_go.wait)
    monkeypatch.setattr(group, "LEAVING_S", 0.05)
    assert not leave_group()  # which would never return
    let_go.set()


def test_ranks_that_have_joined_have_exchanged_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers: list[torch.Tensor] = []
    monkeypatch.setattr(dist, "all_reduce", numbers.append)
    join_group("cpu", 0, 1, str(tmp_path / "meeting"))
    assert dist.is_initialized()
    assert leave_group()
    assert [number.device.type for number in numbers] == ["cpu"]


def test_nccl_that_cannot_connect_is_for_the_operator(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **how: object) -> None:
        raise dist.DistBackendError(NCCL_ERROR)

    monkeypatch.setattr(dist, "init_process_group", fail)
    expected = "^the ranks cannot be connected by NCCL: Error while creating shared memory segment "
    with pytest.raises(OSError, match=expected):
        join_group("cuda", 0, 2, str(tmp_path / "meeting"))
