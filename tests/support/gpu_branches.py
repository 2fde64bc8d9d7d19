"""The transformer as on a GPU, computed by this CPU: its cache's layout, and products instead of copies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from worldplay.model import heads, regions, token_positions, transformer
from worldplay.model.kv_cache import KVCache

PRODUCTS = {"multiply_key_query", "apply_camera", "see_by_camera"}
CACHE = {"cache"}


@contextmanager
def gpu_branches(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Take the branches that tensors on a GPU take. Yields: those that the model has come to, as it comes."""
    taken: set[str] = set()
    build = KVCache.__init__

    def build_tokens_first(cache: KVCache, *args: Any, tokens_first: bool, **others: Any) -> None:
        taken.add("cache")
        build(cache, *args, tokens_first=True, **others)

    def multiply_key_query(normal: Tensor, products: Tensor, out: Tensor | None = None) -> Tensor:
        taken.add("multiply_key_query")
        return torch.bmm(normal, products, out=out)

    def apply_camera(raw: Tensor, matrices: Tensor, out: Tensor | None = None) -> Tensor:
        taken.add("apply_camera")
        return torch.bmm(raw, matrices, out=out)

    def see_by_camera(attended: Tensor, matrices: Tensor) -> Tensor:
        taken.add("see_by_camera")
        return torch.bmm(attended, matrices)

    with monkeypatch.context() as patch:
        patch.setattr(KVCache, "__init__", build_tokens_first)
        for module in (heads, token_positions):
            patch.setattr(module, "prefers_copies", lambda tensor: False)
        patch.setattr(transformer, "are_kept", lambda actions: False)
        for function in (multiply_key_query, apply_camera):
            patch.setattr(heads, function.__name__, function)
        patch.setattr(regions, "see_by_camera", see_by_camera)
        yield taken
