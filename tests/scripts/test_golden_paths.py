"""The transformer's goldens through every exact way of computing it, not only as it is built."""

from collections.abc import Callable
from functools import partialmethod

import pytest
import torch

import check_goldens
from goldens import networks
from goldens.cases import read_manifest
from goldens.weights import fill
from support.gpu_branches import CACHE, PRODUCTS, gpu_branches
from support.paths import GOLDENS
from worldplay.model import transformer
from worldplay.model.attention import MATMUL
from worldplay.model.regions import compile_regions
from worldplay.model.transformer import WorldPlayTransformer

MANIFEST = read_manifest(GOLDENS)
KINDS = {"bi", "bi_rollout", "context", "denoise", "rollout"}
CASES = [name for name, case in MANIFEST.cases.items() if case["kind"] in KINDS]
WAYS: dict[str, Callable[[WorldPlayTransformer], None]] = {
    "packed": lambda model: model.pack(),
    "products": lambda model: model.use_attention(MATMUL),
    "kernel": lambda model: model.use_attention("sdpa-flash"),
    "compiled": lambda model: model.use_regions(compile_regions("aot_eager")),
}


def check(name: str) -> None:
    row = check_goldens.check_case(MANIFEST, name)
    assert row.failures == []
    assert row.outputs == len(MANIFEST.cases[name]["outputs"])


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.slow) if way == "compiled" else way for way in WAYS]
)
@pytest.mark.parametrize("name", CASES)
def test_case_in_another_way(monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    torch.compiler.reset()

    def fill_and_change(model: WorldPlayTransformer) -> WorldPlayTransformer:
        WAYS[way](fill(model))
        return model

    monkeypatch.setattr(networks, "fill", fill_and_change)
    if MANIFEST.cases[name]["kind"] == "denoise":  # has embeddings, which kept modulations need not
        monkeypatch.setattr(transformer, "are_kept", lambda actions: False)
    check(name)


@pytest.mark.parametrize("name", CASES)
def test_case_by_the_branches_of_a_gpu(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with gpu_branches(monkeypatch) as taken:
        check(name)
    cached = not MANIFEST.cases[name]["kind"].startswith("bi")
    assert taken == (PRODUCTS | CACHE if cached else PRODUCTS)


# Two cases write to or compare the blocks' buffers, which are one buffer there.
UNROTATED = [name for name in CASES if name not in ("transformer_context", "transformer_denoise")]


@pytest.mark.parametrize("name", UNROTATED)
def test_case_with_the_unrotated_cache(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    new_cache = WorldPlayTransformer.new_cache
    monkeypatch.setattr(WorldPlayTransformer, "new_cache", partialmethod(new_cache, unrotated=True))
    check(name)
