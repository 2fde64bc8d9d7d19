"""Which device a rank has, how the ranks find each other, and how one leaves the others."""

from datetime import timedelta
from threading import Thread

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import FileStore
from torch.distributed.distributed_c10d import _abort_process_group

from worldplay.ranks.failure import MeetingError, find_reason

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
# Of one exchange. A rank that waits for orders is in none; one that compiles or loads lets others wait.
_TIMEOUT = timedelta(minutes=10)
LEAVING_S = 5.0  # at most, until NCCL has let go


def take_device(kind: str, rank: int) -> torch.device:
    """Take a rank's device: one thread of the CPU, or the GPU of its number."""
    if kind == "cpu":
        torch.set_num_threads(1)
        return torch.device("cpu")
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    return device


def join_group(kind: str, rank: int, size: int, meeting: str) -> None:
    """Join the other ranks. Returns when all are there and have exchanged a number.

    Args:
        meeting: the path of a file, which exists only while the ranks do.
    Raises: MeetingError if that fails.
    """
    store = FileStore(meeting, size)
    try:
        dist.init_process_group(BACKENDS[kind], store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
        meet(kind)  # NCCL connects in the first exchange
    except RuntimeError as error:
        backend, reason = BACKENDS[kind].upper(), find_reason(error)
        raise MeetingError(f"the ranks cannot be connected by {backend}: {reason}") from None


def meet(kind: str) -> None:
    """Wait until all ranks are here: exchange a number."""
    number = torch.ones(1, device=kind)
    dist.all_reduce(number)
    number.item()


def leave_group() -> bool:
    """Leave the group, after the other ranks have ended.

    NCCL's communicators are aborted: destroying them would wait for the others, and leaving them to the
    interpreter's end as well. Gloo waits for nobody.

    Returns: whether that was done in time. If not, the interpreter's end would wait for it, too.
    """
    if not dist.is_initialized():
        return True
    if dist.get_backend() != "nccl":
        dist.destroy_process_group()
        return True
    aborting = Thread(target=_abort_process_group, name="worldplay-leave", daemon=True)
    aborting.start()
    aborting.join(LEAVING_S)
    return not aborting.is_alive()
