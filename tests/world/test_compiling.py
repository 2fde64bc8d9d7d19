from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from support import tiny_world
from support.tiny import TINY
from support.tiny_world import ROLLOUT, make_world
from worldplay.model import compiling as blocks
from worldplay.model.regions import EAGER, compile_regions
from worldplay.world import compiling
from worldplay.world.compiling import can_compile, compile_world
from worldplay.world.steering import CircleSteering, WalkRequest
from worldplay.world.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _reset_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.set_stance("default")
    torch.compiler.reset()


def make_chunks(world: World) -> list[torch.Tensor]:
    walk = world.open_walk(WalkRequest(seed=0))
    return [walk.begin_chunk(CircleSteering()).finish().latents for _ in range(5)]


def test_a_compiled_walk_is_the_same_and_compiles_nothing_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(blocks, "compile_regions", lambda _: compile_regions(counter))
    monkeypatch.setattr(torch.compiler, "set_stance", lambda _: None)  # so that the counter sees everything
    with caplog.at_level("INFO"):
        world = compile_world(make_world())
    assert "compiled the transformer in" in caplog.text
    graphs = counter.frame_count
    assert graphs <= 3 * (1 + ROLLOUT.memory_latents // ROLLOUT.chunk_latents)
    with ThreadPoolExecutor(1) as engine:  # as in service
        chunks = engine.submit(make_chunks, world).result()
    torch.testing.assert_close(chunks, make_chunks(make_world()))
    assert counter.frame_count == graphs


def test_layers_in_8_bits_and_others_are_compiled_for_every_length_of_context(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice as many graphs of a function as torch.compile allows by default."""
    monkeypatch.setattr(tiny_world, "TINY", replace(TINY, blocks=3))
    monkeypatch.setattr(tiny_world, "ROLLOUT", replace(ROLLOUT, memory_latents=20))
    world = make_world()
    world.rollout.transformer.requires_grad_(False).pack()
    world.rollout.transformer.round_weights()
    monkeypatch.setattr(torch.compiler, "set_stance", lambda _: None)
    project = compile_regions("eager").project  # the others need no more graphs
    monkeypatch.setattr(blocks, "compile_regions", lambda _: replace(EAGER, project=project))
    with caplog.at_level("INFO"):
        compile_world(world)
    assert "compiled the transformer in" in caplog.text


def test_a_tier_says_that_its_8_bit_layers_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such product")

    monkeypatch.setattr(blocks, "compile_regions", lambda _: compile_regions(fail))
    world = compile_world(replace(make_world(), tier="balanced"))
    assert world.levers == (compiling.UNCOMPILED,)
    assert compile_world(make_world()).levers == ()


@pytest.mark.parametrize(("compiler", "can"), [("aot_eager", True), ("none", False)])
def test_a_compiler_is_tried(caplog: pytest.LogCaptureFixture, compiler: str, can: bool) -> None:
    assert can_compile(torch.device("cpu"), compiler) is can
    assert ("blocks are not compiled: " in caplog.text) is not can


def test_shapes_of_cuts_do_not_wait_for_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = CompileCounterWithBackend("aot_eager")
    monkeypatch.setattr(blocks, "compile_regions", lambda _: compile_regions(counter))
    worlds = [compile_world(make_world()), make_world()]
    graphs = counter.frame_count
    cuts = []
    for world in worlds:
        walk = world.open_walk(WalkRequest(seed=0))
        walk.begin_chunk(CircleSteering()).finish()
        cuts.append([walk.begin_cut(kept, CircleSteering()).finish().latents for kept in (1, 2, 3)])
    torch.testing.assert_close(*cuts)
    assert counter.frame_count == graphs


def test_cuts_behind_a_full_context_have_no_shapes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = CompileCounterWithBackend("eager")
    monkeypatch.setattr(blocks, "compile_regions", lambda _: compile_regions(counter))
    monkeypatch.setattr(torch.compiler, "set_stance", lambda _: None)  # so that the counter sees everything
    world = compile_world(make_world())
    graphs = counter.frame_count
    make_chunks(world)
    walk = world.open_walk(WalkRequest(seed=0))
    for _ in range(1 + ROLLOUT.memory_latents // ROLLOUT.chunk_latents):
        walk.begin_chunk(CircleSteering()).finish()
    for kept in (1, 2, 3):
        walk.begin_cut(kept, CircleSteering()).finish()
    assert counter.frame_count == graphs


def test_blocks_that_cannot_be_compiled_run_as_they_are(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(graph: object, inputs: object) -> object:
        raise RuntimeError("Failed to find C compiler\nand more")

    monkeypatch.setattr(blocks, "compile_regions", lambda _: compile_regions(refuse))
    world = compile_world(make_world())
    (message,) = [record.message for record in caplog.records if record.name == compiling.__name__]
    assert message.startswith("blocks are not compiled: ")
    assert message.endswith("RuntimeError: Failed to find C compiler")
    torch.testing.assert_close(make_chunks(world), make_chunks(make_world()), rtol=0, atol=0)
