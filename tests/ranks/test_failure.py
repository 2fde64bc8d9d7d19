"""What is said about a rank that failed, and with which exit code."""

import pytest
import torch

from worldplay.ranks.failure import MeetingError, describe_end, describe_failure


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_memory(error: Exception) -> None:
    failure = describe_failure(error)
    assert failure.reason.startswith("ran out of memory; take a smaller --size")
    assert failure.code == 1


def test_what_the_operator_can_mend() -> None:
    failure = describe_failure(OSError("a.safetensors is missing; worldplay download"))
    assert (failure.reason, failure.code) == ("failed: a.safetensors is missing; worldplay download", 2)


def test_failed_meeting_is_for_the_operator_unless_another_rank_has_ended() -> None:
    failure = describe_failure(MeetingError("the ranks cannot be connected by GLOO: Connection closed"))
    assert failure.code == 2
    assert failure.may_be_a_consequence


def test_failed_exchange_may_be_the_fault_of_another_rank() -> None:
    failure = describe_failure(RuntimeError("Connection closed by peer\nstack"))
    assert failure.reason == "failed: RuntimeError: Connection closed by peer"
    assert failure.may_be_a_consequence


@pytest.mark.parametrize(
    ("code", "reason"), [(-9, "was killed by SIGKILL"), (3, "ended with exit code 3"), (0, "ended with")]
)
def test_process_that_says_nothing(code: int, reason: str) -> None:
    failure = describe_end(code)
    assert failure.reason.startswith(reason)
    assert failure.reason.endswith("the others cannot go on without it")
    assert failure.code == 1
