"""How a rank leaves the others: without waiting for those that have ended."""

import pytest
import torch.distributed as dist

from worldplay.ranks import group
from worldplay.ranks.group import leave_group


@pytest.mark.parametrize(("backend", "calls"), [("nccl", ["abort"]), ("gloo", ["destroy"]), (None, [])])
def test_group_is_left_without_the_others(
    monkeypatch: pytest.MonkeyPatch, backend: str | None, calls: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(dist, "is_initialized", lambda: backend is not None)
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: done.append("destroy"))
    monkeypatch.setattr(group, "_abort_process_group", lambda: done.append("abort"))
    leave_group()
    assert done == calls
