import pytest
import torch

from support.tiny_world import make_world
from worldplay.model.attention import EIGHT_BITS, MATMUL, SDPA
from worldplay.model.attention_choice import QKV, Measured
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


def test_what_computes_in_8_bits_can_be_asked_for_only_in_a_tier_that_allows_it() -> None:
    world = set_attention(make_world(), EIGHT_BITS, eight_bits=True)
    assert world.rollout.transformer.attention == EIGHT_BITS
    with pytest.raises(ValueError, match="differs from float32 by"):
        set_attention(make_world(), EIGHT_BITS)


def test_auto_measures_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[tuple[str, list[tuple[int, int]]]] = []

    def measure(backend: str, uses: list[tuple[QKV, int]], wait: object, largest_error: object) -> Measured:
        assert largest_error is None
        tried.append((backend, [(queries.shape[2], times) for (queries, _, _), times in uses]))
        return Measured(backend, 1.0 if backend == MATMUL else 2.0)

    monkeypatch.setattr(attention, "measure", measure)
    world = set_attention(make_world(), "auto")
    tokens = 4 * (2 * 3)
    uses = [(tokens, 2), (3 * tokens, 1)]  # two steps
    assert tried == [(SDPA, uses), (MATMUL, uses)]
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
