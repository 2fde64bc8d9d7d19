"""Recorded passes: the same results as plain ones, whatever changes between two of them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from support.tape import TapeRecorder
from support.tiny import GRID, TINY, Latents, make_latents, make_model, make_text
from worldplay.model import transformer
from worldplay.model.attention import MATMUL
from worldplay.model.graphs import CudaRecorder, Graphs, Tensors
from worldplay.model.kv_cache import KVCache, TextKV
from worldplay.model.modulators import are_kept
from worldplay.model.prope import Cameras
from worldplay.model.transformer import WorldPlayTransformer


@pytest.fixture(autouse=True)
def _as_in_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute modulations as a recording does, which knows no numbers: then results are equal to the bit."""
    monkeypatch.setattr(transformer, "are_kept", lambda actions: False)
    with torch.inference_mode():
        yield


def test_recorded_passes_compute_modulations_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "are_kept", are_kept)
    model = make_model()
    model.pack()
    model.use_graphs(Graphs(TapeRecorder()))
    embedded: list[int] = []
    model.time_in.register_forward_hook(lambda *_: embedded.append(1))
    for _ in range(2):
        model._modulate(torch.tensor([3]), torch.tensor([500.0]))
    assert len(embedded) == 2


class Pair:
    """The same model twice: one launches every operation, the other one replays recordings."""

    def __init__(self) -> None:
        self.plain, self.graphed = make_model(), make_model()
        for model in (self.plain, self.graphed):
            model.pack()
        self.recorder = TapeRecorder()
        self.graphs = Graphs(self.recorder)
        self.graphed.use_graphs(self.graphs)
        self.caches = [self.new_cache(model) for model in (self.plain, self.graphed)]

    def new_cache(self, model: WorldPlayTransformer, *, unrotated: bool = False) -> KVCache:
        cache = model.new_cache(GRID, 24, 8, unrotated=unrotated)
        cache.set_text(make_text(model))
        return cache

    def both(self, use: Callable[[WorldPlayTransformer, KVCache], Tensor | None]) -> None:
        plain, graphed = (
            use(model, cache) for model, cache in zip((self.plain, self.graphed), self.caches, strict=True)
        )
        if plain is not None:
            torch.testing.assert_close(graphed, plain, rtol=0, atol=0)

    def encode(self, context: Latents, timestep: float = 14.0) -> None:
        self.both(lambda model, cache: model.encode_context(*context.arguments(), cache, timestep))
        for block in range(self.plain.config.blocks):
            ours, theirs = (cache.context(block) for cache in self.caches)
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)

    def chunk(self, chunk: Latents, timesteps: tuple[float, ...] = (1000.0, 625.0, 310.0)) -> None:
        for timestep in timesteps:
            self.both(partial(_denoise, chunk, timestep))


def _denoise(chunk: Latents, timestep: float, model: WorldPlayTransformer, cache: KVCache) -> Tensor:
    return model.denoise(*chunk.arguments(), timestep, cache)


def _extend(context: Latents, model: WorldPlayTransformer, cache: KVCache) -> None:
    model.extend_context(*context.arguments(), cache)


@pytest.mark.parametrize("tokens_first", [False, True])
def test_nothing_that_a_pass_depends_on_is_part_of_its_recording(tokens_first: bool) -> None:
    """Latents, conditions, cameras, actions, timesteps and positions differ in every chunk."""
    pair = Pair()
    for index, model in enumerate((pair.plain, pair.graphed)):
        sizes = (TINY.blocks, TINY.heads, TINY.head_dim, GRID[0] * GRID[1], 24, 8)
        pair.caches[index] = KVCache(*sizes, model.device, model.dtype, tokens_first=tokens_first)
        pair.caches[index].set_text(make_text(model))
    for seed in range(4):
        pair.encode(make_latents(pair.plain, 4, seed=seed), timestep=14.0 + seed)
        pair.chunk(make_latents(pair.plain, 4, seed=10 + seed), (1000.0 - seed, 625.0 + seed, 310.0))
    assert pair.graphs.count == 3, "a context pass, a step, and what steps share"
    assert pair.recorder.replays > 10


def test_every_length_of_context_has_recordings_of_its_own() -> None:
    pair = Pair()
    for seed in range(3):
        for length in (4, 8):
            pair.encode(make_latents(pair.plain, length, seed=seed))
            pair.chunk(make_latents(pair.plain, 4, seed=10 + seed))
    assert pair.graphs.count == 5, "two context passes, two steps, and what steps share"


def test_latents_appended_to_a_context_take_their_positions() -> None:
    pair = Pair()
    for seed in range(3):
        pair.encode(make_latents(pair.plain, 4, seed=seed))
        pair.both(partial(_extend, make_latents(pair.plain, 2, seed=5 + seed)))
        pair.chunk(make_latents(pair.plain, 2, seed=10 + seed))


def test_chunks_in_turns_do_not_mix_their_cameras() -> None:
    pair = Pair()
    pair.encode(make_latents(pair.plain, 4))
    chunks = [make_latents(pair.plain, 4, seed=seed) for seed in (10, 11)]
    for timestep in (1000.0, 800.0, 600.0, 400.0):
        for chunk in chunks:
            pair.chunk(chunk, (timestep,))


def test_a_velocity_stays_when_another_one_is_computed() -> None:
    pair = Pair()
    chunk = make_latents(pair.plain, 4)
    first, *others = [pair.graphed.denoise(*chunk.arguments(), t, pair.caches[1]) for t in (600.0,) * 4]
    pair.encode(make_latents(pair.plain, 4))
    for other in others:
        assert torch.equal(other, first)


def test_another_text_is_seen() -> None:
    pair = Pair()
    chunk = make_latents(pair.plain, 4)
    texts = []  # a cache takes no notice of a text that is gone
    for scale, length in ((1.0, 5), (2.0, 5), (3.0, 4), (4.0, 4), (5.0, 5)):
        for model, cache in zip((pair.plain, pair.graphed), pair.caches, strict=True):
            whole = make_text(model)
            keys = [scale * key[:, :, :length] for key in whole.keys]
            texts.append(TextKV(keys, [value[:, :, :length] for value in whole.values]))
            cache.set_text(texts[-1])
        pair.encode(make_latents(pair.plain, 4, seed=length))
        pair.chunk(chunk)


def test_another_cache_is_written_to() -> None:
    pair = Pair()
    for seed in range(3):
        pair.encode(make_latents(pair.plain, 4, seed=seed))
        pair.chunk(make_latents(pair.plain, 4, seed=seed))
        pair.caches = [pair.new_cache(model) for model in (pair.plain, pair.graphed)]


def test_a_cache_that_keeps_positions_is_not_recorded() -> None:
    pair = Pair()
    pair.caches = [pair.new_cache(model, unrotated=True) for model in (pair.plain, pair.graphed)]
    for seed in range(3):
        pair.encode(make_latents(pair.plain, 4, seed=seed))
        pair.chunk(make_latents(pair.plain, 4, seed=seed))
    assert pair.graphs.count == 0


def test_another_attention_backend_forgets_the_recordings() -> None:
    pair = Pair()
    chunk = make_latents(pair.plain, 4)
    pair.chunk(chunk)
    assert pair.graphs.count > 0
    pair.graphed.use_attention(MATMUL)
    assert pair.graphs.count == 0
    pair.plain.use_attention(MATMUL)
    pair.chunk(chunk)


def test_a_number_in_a_recording_would_be_noticed() -> None:
    """The stand-in is as strict as a CUDA graph: a number that is not an input stays what it was."""
    graphs, seen = Graphs(TapeRecorder()), []
    for number in (1.0, 2.0, 3.0):
        (result,) = graphs.run("scale", lambda x, number=number: (x * number,), (torch.ones(1),))
        seen.append(result.item())
    assert seen == [1.0, 2.0, 2.0]


class Failing:
    """Cannot record."""

    def record(self, function: Callable[[], Tensors], *, alone: bool) -> tuple[Tensors, Callable[[], None]]:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_what_cannot_be_recorded_is_launched(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair()
    pair.graphed.use_graphs(Graphs(Failing()))
    with caplog.at_level(logging.WARNING):
        for seed in range(3):
            pair.encode(make_latents(pair.plain, 4, seed=seed))
            pair.chunk(make_latents(pair.plain, 4, seed=seed))
    assert [record.message for record in caplog.records] == [
        "recording failed, operations are launched one by one: CUDA out of memory"
    ]


def test_cameras_are_inputs() -> None:
    pair = Pair()
    chunk = make_latents(pair.plain, 4)
    for seed in range(3):
        cameras: Cameras = make_latents(pair.plain, 4, seed=seed).cameras
        pair.chunk(Latents(chunk.latents, chunk.cond, cameras, chunk.actions))


class Driver:
    """Notes what is asked of CUDA."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.calls: list[tuple[object, ...]] = []

    @contextmanager
    def graph(self, graph: object, pool: object, stream: object, mode: str) -> Iterator[None]:
        self.calls.append(("record", pool, stream, mode))
        yield
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")

    def take_the_place_of_cuda(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "graph", self.graph)
        monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: "shared")
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"stream of {device}")
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"current of {device}")
        monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: self.calls.append(("go on", stream)))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_asked_of_cuda(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    driver = Driver(fails=fails)
    driver.take_the_place_of_cuda(monkeypatch)
    recorder = CudaRecorder(torch.device("cuda:1"))
    for alone in (False, True):
        with pytest.raises(RuntimeError) if fails else nullcontext():
            recorder.record(lambda: (torch.ones(1),), alone=alone)
    back = ("go on", "current of cuda:1")
    assert driver.calls == [
        ("record", "shared", "stream of cuda:1", "thread_local"),
        back,
        ("record", None, "stream of cuda:1", "thread_local"),
        back,
    ]
