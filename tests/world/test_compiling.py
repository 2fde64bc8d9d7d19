import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from support.tiny_world import ROLLOUT, make_world
from worldplay.model.regions import compile_regions
from worldplay.world import compiling
from worldplay.world.compiling import compile_world
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World

pytestmark = pytest.mark.slow


def make_chunks(world: World) -> list[torch.Tensor]:
    walk = world.open_walk(WalkRequest(seed=0))
    return [walk.begin_chunk(CircleSteering()).finish().latents for _ in range(5)]


@pytest.mark.parametrize("compiler", ["eager", "aot_eager"])
def test_a_compiled_walk_is_the_same_and_compiles_nothing_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, compiler: str
) -> None:
    torch.compiler.reset()
    counter = CompileCounterWithBackend(compiler)
    monkeypatch.setattr(compiling, "compile_regions", lambda _: compile_regions(counter))
    with caplog.at_level("INFO"):
        world = compile_world(make_world())
    assert "compiled the transformer in" in caplog.text
    graphs = counter.frame_count
    assert graphs <= 3 * (1 + ROLLOUT.memory_latents // ROLLOUT.chunk_latents)
    torch.testing.assert_close(make_chunks(world), make_chunks(make_world()))
    assert counter.frame_count == graphs
