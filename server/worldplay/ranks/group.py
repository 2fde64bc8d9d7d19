"""Which device a rank has, and how the ranks find each other."""

from datetime import timedelta

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore
from torch.distributed.distributed_c10d import _abort_process_group

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
# Of one exchange. A rank that waits for orders is in none; one that compiles or loads lets others wait.
_TIMEOUT = timedelta(minutes=10)


def take_device(kind: str, rank: int) -> torch.device:
    """Take a rank's device: one thread of the CPU, or the GPU of its number."""
    if kind == "cpu":
        torch.set_num_threads(1)
        return torch.device("cpu")
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    return device


def join_group(kind: str, rank: int, size: int, meeting: str) -> None:
    """Join the other ranks. Returns when all are there.

    Args:
        meeting: the path of a file, which exists only while the ranks do.
    Raises: OSError if that fails.
    """
    store = FileStore(meeting, size)
    try:
        dist.init_process_group(BACKENDS[kind], store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise OSError(f"the ranks cannot be connected by {BACKENDS[kind].upper()}: {reason}") from None


def leave_group() -> None:
    """Leave the group, after the other ranks have ended.

    NCCL's communicators are aborted: destroying them would wait for the others, and leaving them to the
    interpreter's end as well. Gloo waits for nobody.
    """
    if not dist.is_initialized():
        return
    if dist.get_backend() == "nccl":
        _abort_process_group()
    else:
        dist.destroy_process_group()
