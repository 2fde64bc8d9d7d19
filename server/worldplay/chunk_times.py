"""Remembers what chunks of the released model take on this machine's GPU, from one start to the next."""

import json
import logging
import os
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from worldplay.settings import CHUNK_TIMES, ModelSettings, read_visible_gpus
from worldplay.world.attention_packages import list_attention_packages
from worldplay.world.gpus import find_gpu
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.released.files import find_root

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).resolve().parent
_ROOMS = ("model", "world", "ranks")  # whose code decides what a chunk takes


def recall(settings: ModelSettings, size: tuple[int, int]) -> float | None:
    """Return the seconds that a chunk took when it was measured in the same way; None if it was not."""
    seconds = _read().get(_key(settings, size))
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None


def remember(settings: ModelSettings, size: tuple[int, int], seconds: float) -> None:
    """Keep a measured time. If it cannot be written, it will be measured again."""
    try:
        CHUNK_TIMES.parent.mkdir(parents=True, exist_ok=True)
        draft = CHUNK_TIMES.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({**_read(), _key(settings, size): seconds}, indent=1) + "\n")
        draft.replace(CHUNK_TIMES)
    except OSError as error:
        logger.warning("what a chunk takes cannot be kept for the next start: %s", error)


def _read() -> dict[str, object]:
    """Read all times. A file that is missing or damaged holds none."""
    try:
        times = json.loads(CHUNK_TIMES.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return times if isinstance(times, dict) else {}


def _key(settings: ModelSettings, size: tuple[int, int]) -> str:
    """Name everything that the time depends on: machine, code, model, size, and how it computes."""
    gpu = find_gpu(settings.device, read_visible_gpus())
    root = find_root(settings.model, settings.weights_dir)
    parts = {
        "gpu": "none" if gpu is None else gpu.name,
        "gpus": settings.gpus,
        "torch": version("torch"),
        "code": _digest_code(),
        "variant": settings.variant,
        "size": f"{size[0]}x{size[1]}",
        "attention": settings.attention,
        "installed": list_attention_packages(),
        "compile": settings.compile,
        "graphs": settings.graphs,
        "tier": settings.tier,
        # Where a tier keeps context, which takes memory.
        "max_sessions": None if settings.tier == "exact" else settings.max_sessions,
        "tiny decoder": settings.tier != "exact" and (root / TINY_DECODER).is_file(),
    }
    return json.dumps(parts)


def _digest_code() -> str:
    digest = sha256()
    for room in _ROOMS:
        for path in sorted((_PACKAGE / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
