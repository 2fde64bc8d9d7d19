import pytest
import torch

from support.tiny_world import make_world
from worldplay.model.attention import MATMUL, SDPA
from worldplay.model.attention_choice import Measured
from worldplay.world import attention
from worldplay.world.attention import set_attention
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World


def test_a_backend_can_be_asked_for() -> None:
    world = set_attention(make_world(), MATMUL)
    assert {block.backend for block in world.rollout.transformer.blocks} == {MATMUL}


def test_a_backend_that_does_not_work_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"attention 'telepathy' cannot be used here: .*take --attention auto"
    ):
        set_attention(make_world(), "telepathy")


def test_auto_measures_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, list[int]]] = []

    def measure(
        backend: str, shapes: list[tuple[torch.Tensor, ...]], wait: object, largest_error: object
    ) -> Measured:
        assert largest_error is None
        tried.append((backend, [shape[0].shape[2] for shape in shapes]))
        return Measured(backend, 1.0 if backend == MATMUL else 2.0)

    monkeypatch.setattr(attention, "measure", measure)
    world = set_attention(make_world(), "auto")
    tokens = 4 * (2 * 3)
    assert tried == [(SDPA, [tokens, 3 * tokens]), (MATMUL, [tokens, 3 * tokens])]
    assert world.rollout.transformer.blocks[0].backend == MATMUL


@pytest.mark.parametrize(("free", "is_tried"), [(10**12, True), (100_000, False)])
def test_backends_that_need_all_scores_are_left_out_where_they_take_too_much_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, is_tried: bool
) -> None:
    tried: list[str] = []

    def measure(backend: str, *rest: object) -> Measured:
        tried.append(backend)
        return Measured(backend, 1.0)

    gpu = torch.device("cuda")
    monkeypatch.setattr(attention, "measure", measure)
    monkeypatch.setattr(World, "device", gpu)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
    set_attention(make_world(), "auto")
    assert ("sdpa-math" in tried) is is_tried
    assert {SDPA, "sdpa-flash", "sdpa-cudnn", "sdpa-efficient"} <= set(tried)


def test_a_walk_is_the_same_after_measuring() -> None:
    chunks = []
    for backend in (SDPA, "auto"):
        world = set_attention(make_world(), backend)
        walk = world.open_walk(WalkRequest(seed=0))
        chunks.append([walk.begin_chunk(CircleSteering()).finish().latents for _ in range(3)])
    torch.testing.assert_close(*chunks)
