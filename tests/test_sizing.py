"""Which size is served: the largest in real time, by what was measured now or before."""

import logging
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from support.published import TRANSFORMER, VAE
from worldplay import chunk_times, sizing
from worldplay.chunk_times import recall, remember
from worldplay.engine import capacity
from worldplay.settings import load_settings
from worldplay.size_paces import list_paces
from worldplay.sizing import fix_size, measure_embedded, time_apart, time_random_chunk
from worldplay.world.gpus import Gpu
from worldplay.world.kept_rollout import Keeping
from worldplay.world.live_walk import LiveWalk
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.pace import Pace
from worldplay.world.released import load as released_load
from worldplay.world.released import offload_plan, random_weights
from worldplay.world.released.memory_estimate import Shapes, estimate_memory
from worldplay.world.released.offload_plan import plan_offload
from worldplay.world.released.sizes import SIZES, SizePace, choose_size, render_sizes
from worldplay.world.released.variants import Variant, find_variant
from worldplay.world.world import World

LARGE, MIDDLE, SMALL = SIZES
PLENTY = 80_000_000_000
AUTO = load_settings(model="hy-worldplay", size="auto", gpus=1)


def rows(*seconds: float | None, room: int = 9) -> list[SizePace]:
    """What one H200 took, or other times; None: not measured."""
    paces = [None if each is None else Pace(each, 4) for each in seconds]
    return [SizePace(size, pace, room) for size, pace in zip(SIZES, paces, strict=True)]


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        ((0.5, 0.2, 0.1), LARGE),
        ((0.61, 0.59, 0.1), MIDDLE),
        ((4.469, 1.843, 0.55), SMALL),
        ((4.469, 1.843, 0.665), SMALL),
        ((0.9, 0.8, None), MIDDLE),
        ((None, None, None), SMALL),
    ],
)
def test_the_largest_size_in_real_time_is_chosen_or_else_the_fastest(
    seconds: tuple[float | None, ...], size: tuple[int, int]
) -> None:
    assert choose_size(rows(*seconds)) == size


def test_a_size_that_has_no_room_is_not_chosen() -> None:
    found = [SizePace(LARGE, Pace(0.1, 4), 0), SizePace(MIDDLE, Pace(0.3, 4), 1), *rows(0, 0, 0.1)[2:]]
    assert choose_size(found) == MIDDLE


def test_the_table_tells_what_a_chunk_takes_and_how_many_sessions_fit() -> None:
    assert [line.split() for line in render_sizes(rows(4.469, None, 0.25, room=1))] == [
        ["size", "chunk", "frames/s", "real", "time", "sessions"],
        ["480x832", "4469", "ms", "3.6", "0.15x", "0"],
        ["352x640", "-", "-", "-", "-"],
        ["240x416", "250", "ms", "64.0", "2.67x", "1"],
    ]


def test_sizes_that_do_not_fit_into_memory_are_not_measured() -> None:
    seen = []

    def find(size: tuple[int, int]) -> float:
        seen.append(size)
        return 0.3

    found = list(list_paces(AUTO, PLENTY, find))
    assert (seen, [row.sessions for row in found]) == (list(SIZES), [2, 2, 2])
    assert [row.room for row in list_paces(AUTO, 1_000_000_000, find)] == [0, 0, 0]
    assert seen == list(SIZES)


@pytest.mark.parametrize(("tier", "rooms"), [("exact", [11, 21, 36]), ("fast", [11, 21, 4])])
def test_sessions_of_a_tier_are_those_that_keep_their_context(
    tier: str, rooms: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it can be kept at all. With 64 GB of main memory."""
    monkeypatch.setattr(offload_plan, "available_memory", lambda: 64_000_000_000)
    settings = AUTO.model_copy(update={"tier": tier})
    assert [row.room for row in list_paces(settings, 84_500_000_000, lambda _: 0.5)] == rooms


def test_a_size_is_taken_as_given() -> None:
    settings = load_settings(model="hy-worldplay", size="352x640")
    assert fix_size(settings) is settings


@pytest.mark.parametrize(
    ("model", "variant", "size"),
    [
        ("embedded", "ar-distilled", "auto"),
        ("hy-worldplay", "bidirectional", "480x832"),
        ("hy-worldplay", "ar-distilled", "240x416"),
    ],
)
def test_what_cannot_be_measured_gets_a_size_nevertheless(model: str, variant: str, size: str) -> None:
    settings = load_settings(model=model, variant=variant, size="auto", device="cpu", max_sessions=3)
    fixed = fix_size(settings)
    assert (fixed.size, fixed.max_sessions) == (size, 3)


def test_the_size_is_chosen_by_measuring(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sizing, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(sizing, "measure_sizes", lambda _: rows(4.469, 1.843, 0.55))
    with caplog.at_level(logging.INFO):
        assert fix_size(AUTO).size == "240x416"
    assert "size 240x416: the largest in real time" in caplog.text
    monkeypatch.setattr(sizing, "measure_sizes", lambda _: rows(4.469, 1.843, 0.665))
    with caplog.at_level(logging.INFO):
        assert fix_size(AUTO).size == "240x416"
    assert "size 240x416: the fastest; none leaves time to spare" in caplog.text


@pytest.mark.parametrize("variant", ["ar-distilled", "ar"])
def test_a_chunk_of_random_weights_is_timed(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capacity, "MEASURING_S", 0.001)
    rollout = replace(find_variant(variant).rollout(), steps=2)
    monkeypatch.setattr(Variant, "rollout", lambda _: rollout)
    settings = load_settings(model="hy-worldplay", variant=variant, device="cpu")
    assert 0 < time_random_chunk(settings, (32, 48), Shapes(TRANSFORMER, VAE)) < 60


def test_a_chunk_is_timed_in_its_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[LiveWalk] = []

    def time(world: World, walk: LiveWalk) -> Pace:
        timed.append(walk)
        return Pace(0.5, 4)

    monkeypatch.setattr(sizing, "measure_pace", time)
    settings = load_settings(model="hy-worldplay", device="cpu", tier="fast", attention="sdpa")
    assert time_random_chunk(settings, (32, 48), Shapes(TRANSFORMER, VAE)) == 0.5
    (walk,) = timed
    assert walk._rollout.keeping is not None
    assert walk._rollout.config.steps == 2


def test_a_chunk_is_timed_where_the_size_is_to_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "measure_pace", lambda *_: Pace(0.5, 4))
    settings = AUTO.model_copy(update={"device": "cpu", "attention": "sdpa"})
    assert time_random_chunk(settings, (32, 48), Shapes(TRANSFORMER, VAE)) == 0.5


def test_a_chunk_is_timed_with_the_memory_that_is_left_in_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tier that keeps context only where the server would."""
    kept: list[Keeping | None] = []

    def time(world: World, walk: LiveWalk) -> Pace:
        kept.append(walk._rollout.keeping)
        return Pace(0.5, 4)

    monkeypatch.setattr(sizing, "measure_pace", time)
    monkeypatch.setattr(random_weights, "choose_dtype", lambda _: torch.bfloat16)  # as on GPUs
    shapes, size = Shapes(TRANSFORMER, VAE), (32, 48)
    settings = AUTO.model_copy(
        update={"device": "cpu", "tier": "balanced", "attention": "sdpa", "max_sessions": 2}
    )
    needed = estimate_memory(find_variant(settings.variant), size, shapes)
    enough = plan_offload(needed, 3, None).peak + needed.working + 3 * 40 * needed.kept_latent
    for budget in (enough, needed.caches):
        monkeypatch.setattr(released_load, "free_bytes", lambda _, budget=budget: budget)
        if budget == enough:
            assert time_random_chunk(settings, size, shapes) == 0.5
        else:
            with pytest.raises(ValueError, match="GB of GPU memory"):
                time_random_chunk(settings, size, shapes)
    assert [found and found.most for found in kept] == [20]


@pytest.mark.slow
def test_a_chunk_is_timed_in_a_process_of_its_own() -> None:
    settings = load_settings(model="hy-worldplay", device="cpu", size="auto")
    assert 0 < time_apart(settings, (32, 48), Shapes(TRANSFORMER, VAE)) < 60
    with pytest.raises(ValueError, match="expected sides in multiples"):
        time_apart(settings, (33, 48), Shapes(TRANSFORMER, VAE))


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory.\nMore"), BrokenProcessPool("ended abruptly")]
)
def test_a_size_that_cannot_be_measured_is_told_and_left_out(
    file: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> float:
        raise error

    monkeypatch.setattr(sizing, "time_apart", fail)
    found = list(list_paces(AUTO, PLENTY, partial(sizing.find_seconds, AUTO)))
    assert [row.pace for row in found] == [None, None, None]
    first_line = str(error).splitlines()[0]
    assert caplog.messages[0] == f"480x832 cannot be measured: {first_line}"


def test_a_size_is_measured_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.25]
    monkeypatch.setattr(sizing, "time_apart", lambda *_: times.pop())
    assert [sizing.find_seconds(AUTO, SMALL) for _ in range(2)] == [0.25, 0.25]


@pytest.mark.slow
def test_the_embedded_world_is_measured_at_its_size() -> None:
    size, pace = measure_embedded(load_settings(size="auto", device="cpu"))
    assert size == (192, 320)
    assert pace.shown_s == pytest.approx(16 / 24)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(chunk_times, "find_gpu", lambda *_: Gpu("H200", 1, 1))
    times = tmp_path / "new" / "times.json"
    monkeypatch.setattr(chunk_times, "CHUNK_TIMES", times)
    return times


def test_a_measured_time_is_kept(file: Path) -> None:
    assert recall(AUTO, SMALL) is None
    remember(AUTO, SMALL, 0.55)
    remember(AUTO, LARGE, 4.4)
    assert (recall(AUTO, SMALL), recall(AUTO, LARGE)) == (0.55, 4.4)
    assert [each.name for each in file.parent.iterdir()] == ["times.json"]


@pytest.mark.parametrize(
    "changed", [{"variant": "ar"}, {"attention": "sdpa"}, {"compile": "off"}, {"graphs": "off"}, {"gpus": 2}]
)
def test_a_time_counts_only_for_the_same_way(file: Path, changed: dict[str, object]) -> None:
    remember(AUTO, SMALL, 0.55)
    assert recall(load_settings(model="hy-worldplay", size="auto", **changed), SMALL) is None


@pytest.mark.parametrize(("tier", "known"), [("exact", 0.55), ("fast", None)])
def test_a_time_of_a_tier_counts_only_for_as_many_visitors(
    file: Path, tier: str, known: float | None
) -> None:
    """Their number decides whether context is kept."""
    few, many = (load_settings(model="hy-worldplay", tier=tier, max_sessions=count) for count in (1, 4))
    remember(few, SMALL, 0.55)
    assert recall(many, SMALL) == known


def test_a_time_of_a_tier_counts_only_with_the_same_decoder(file: Path, tmp_path: Path) -> None:
    settings = [
        load_settings(model="hy-worldplay", tier=tier, weights_dir=tmp_path) for tier in ("exact", "fast")
    ]
    for each in settings:
        remember(each, SMALL, 0.55)
    (tmp_path / TINY_DECODER).parent.mkdir()
    (tmp_path / TINY_DECODER).touch()
    assert [recall(each, SMALL) for each in settings] == [0.55, None]


def test_a_time_counts_only_for_the_same_machine_and_code(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(AUTO, SMALL, 0.55)
    for name, changed in (("find_gpu", Gpu("H100", 1, 1)), ("version", "2.0"), ("_digest_code", "0")):
        with monkeypatch.context() as patch:
            patch.setattr(chunk_times, name, lambda *_, changed=changed: changed)
            assert recall(AUTO, SMALL) is None
    assert recall(AUTO, SMALL) == 0.55


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}'])
def test_a_damaged_file_holds_no_times(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    assert recall(AUTO, SMALL) is None
    remember(AUTO, SMALL, 0.55)
    assert recall(AUTO, SMALL) == 0.55


def test_a_time_that_cannot_be_kept_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(chunk_times, "CHUNK_TIMES", tmp_path / "file" / "times.json")
    remember(AUTO, SMALL, 0.55)
    assert "cannot be kept for the next start" in caplog.text
