import pytest
import torch

from worldplay.engine.failures import code_of


class OutOfMemoryError(RuntimeError):
    """By torch's name."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), "out_of_memory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "out_of_memory"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), "out_of_memory"),
        (RuntimeError("NCCL error: Last error:\nCuda failure 2 'out of memory'"), "out_of_memory"),
        (RuntimeError("CUDA driver error: out of memory"), "out_of_memory"),
        (RuntimeError("Triton Error [CUDA]: out of memory"), "out_of_memory"),
        (RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED"), "out_of_memory"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "internal"),
        (ValueError("out of memory"), "internal"),
    ],
)
def test_failures_for_want_of_memory_are_told_apart(error: Exception, code: str) -> None:
    assert code_of(error) == code


def test_torch_says_so_where_a_cpu_has_no_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58)
    assert code_of(caught.value) == "out_of_memory"
