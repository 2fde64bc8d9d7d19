"""Which world the settings ask for, and what an operator hears who asks for one that is not there."""

import re
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from support.tiny_world import make_world
from worldplay import loading, sizing
from worldplay.commands import bench, serve
from worldplay.commands.bench import RandomModel
from worldplay.loading import check_choices, open_live_world, open_ranks, open_world
from worldplay.model.ranks import ALONE, Ranks
from worldplay.settings import Settings, load_settings
from worldplay.world import tiers
from worldplay.world.compiling import can_compile
from worldplay.world.embedded.load import EMBEDDED
from worldplay.world.gpus import Gpu
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.released import load
from worldplay.world.released.load import ReleasedConfig
from worldplay.world.released.variants import find_variant
from worldplay.world.world import World


def test_embedded_world_takes_no_notice_of_the_variant() -> None:
    settings = load_settings(model=str(EMBEDDED), variant="ar", device="cpu")
    assert open_world(settings, sessions=1, clips=0).name == "embedded"


@pytest.mark.parametrize(("tier", "sets"), [("exact", 4), ("balanced", 1)])
def test_every_walk_has_caches_of_its_own_unless_context_is_kept(tier: str, sets: int) -> None:
    world = open_world(load_settings(tier=tier, device="cpu", attention="sdpa"), sessions=3, clips=1)
    assert len(world.rollout.cache_sets) == sets


@pytest.mark.parametrize(("max_sessions", "walks"), [(None, 4), (2, 3), (5, 4)])
def test_memory_for_kept_context_is_shared_by_all_walks(
    monkeypatch: pytest.MonkeyPatch, max_sessions: int | None, walks: int
) -> None:
    counted: list[object] = []

    def count(world: World, name: str, **how: object) -> World:
        counted.append(how["walks"])
        return world

    monkeypatch.setattr(loading, "apply_tier", count)
    world = replace(make_world(), max_sessions=max_sessions)
    loading.tune(load_settings(tier="fast", device="cpu", attention="sdpa"), world, sessions=3, clips=1)
    assert counted == [walks]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What is asked for instead of being loaded."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(load, "load_released", lambda *args: calls.append(args))
    monkeypatch.setattr(loading, "load_embedded", lambda *args: calls.append(args))
    monkeypatch.setattr(loading, "tune", lambda _, world, **walks: world)
    return calls


def test_settings_of_the_released_model(tmp_path: Path, asked: list[tuple[object, ...]]) -> None:
    settings = load_settings(
        model="hy-worldplay", variant="ar", size="352x640", shift=7, weights_dir=tmp_path, device="cpu"
    )
    open_world(settings, sessions=2, clips=1)
    variant = replace(find_variant("ar"), shift=7.0)
    config = ReleasedConfig(variant, (352, 640), sessions=2, clips=1)
    assert asked == [(config, tmp_path, torch.device("cpu"), None, ALONE)]
    assert variant.rollout().shift == 7.0


@pytest.mark.parametrize(
    ("model", "threads"), [("embedded", [1]), (str(EMBEDDED), [1]), ("hy-worldplay", [])]
)
def test_small_worlds_leave_a_core_to_the_browser(
    model: str, threads: list[int], asked: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", pinned.append)
    open_world(load_settings(model=model), sessions=1, clips=0)
    assert pinned == threads


def test_released_model_that_has_not_been_downloaded(tmp_path: Path) -> None:
    settings = load_settings(model="hy-worldplay", variant="ar", weights_dir=tmp_path, device="cpu")
    expected = (
        r"^\S*/HY-WorldPlay/ar_model is missing \(\S* has none of these instead: ar_model\); "
        r"run `worldplay download --variant ar --weights-dir \S*`$"
    )
    with pytest.raises(OSError, match=expected):
        open_world(settings, sessions=1, clips=0)


def test_directory_with_parts_of_a_released_model(tmp_path: Path) -> None:
    (tmp_path / "ar_distilled_action_model").mkdir()
    with pytest.raises(
        OSError,
        match=r"HunyuanVideo-1.5-Diffusers-480p_i2v/vae is missing \(\S+ has none of these instead: "
        r"HunyuanVideo-1.5/vae, vae\); run `worldplay download --variant ar-distilled --weights-dir",
    ):
        open_world(load_settings(model=str(tmp_path), device="cpu"), sessions=1, clips=0)


@pytest.mark.parametrize(
    ("device", "gpus", "warns"), [("auto", 1, True), ("cpu", 1, False), ("auto", 0, False)]
)
def test_gpu_that_pytorch_cannot_use_is_told(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    asked: list[tuple[object, ...]],
    device: str,
    gpus: int,
    warns: bool,
) -> None:
    """For example because its driver is too old. `doctor`, which asks the driver, would plan for it."""
    monkeypatch.setattr(loading, "list_gpus", lambda visible: [Gpu("H100", 84, 85)] * gpus)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    open_world(load_settings(device=device, attention="sdpa"), sessions=1, clips=0)
    assert ("PyTorch cannot use the GPU (H100)" in caplog.text) is warns
    assert len(asked) == 1


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="setting variant: expected 'ar-distilled'"):
        load_settings(variant="wan")


@pytest.mark.parametrize(
    ("variant", "walks"),
    [("ar-distilled", {"sessions": 3, "clips": 1}), ("bidirectional", {"sessions": 0, "clips": 1})],
)
def test_server_keeps_memory_for_visitors_and_a_clip(
    variant: str, walks: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(settings: Settings, *, ranks: Ranks, **asked: int) -> World:
        raise OSError(str(asked))

    monkeypatch.setattr(loading, "open_world", stop)
    settings = load_settings(model="hy-worldplay", variant=variant, max_sessions=3)
    with pytest.raises(OSError, match=re.escape(str(walks))):
        open_live_world(settings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"gpus": 3}, "expected --gpus 1, 2, 4, which divide the model's 4 heads, got 3"),
        ({"gpus": 2, "device": "cuda:0"}, "expected --device auto, cuda or cpu with --gpus 2, got 'cuda:0'"),
        ({"gpus": 3, "model": "hy-worldplay"}, "expected --gpus 1, 2, 4, 8, 16, which divide the"),
        (
            {"gpus": 2, "model": "hy-worldplay", "variant": "bidirectional"},
            "expected --gpus 1 with --variant bidirectional, got 2",
        ),
    ],
)
def test_ranks_that_cannot_be(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason), open_ranks(load_settings(**{"device": "cpu", **settings})):
        pass


@pytest.mark.parametrize(("compile_", "longest_wait_s"), [("off", 7.0), ("on", 600.0)])
def test_ranks_that_compile_may_wait_longer_for_each_other(
    monkeypatch: pytest.MonkeyPatch, compile_: str, longest_wait_s: float
) -> None:
    asked: list[object] = []

    def lead(size: int, kind: str, make: object, longest_wait_s: float) -> object:
        asked.extend((size, kind, longest_wait_s))
        return nullcontext(Ranks())

    monkeypatch.setattr(loading, "lead", lead)
    with open_ranks(load_settings(gpus=2, device="cpu", compile=compile_, rank_timeout_s=7)):
        assert asked == [2, "cpu", longest_wait_s]


@pytest.mark.parametrize(("device", "backend"), [("cpu", "GLOO"), ("cuda", "NCCL")])
def test_pytorch_without_a_backend(monkeypatch: pytest.MonkeyPatch, device: str, backend: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "H100")
    monkeypatch.setattr(torch.distributed, "is_backend_available", lambda name: False)
    expected = f"expected a PyTorch with {backend} for --gpus 2, got none"
    with pytest.raises(ValueError, match=expected), open_ranks(load_settings(gpus=2, device=device)):
        pass


@pytest.mark.parametrize(
    ("choice", "model", "device", "gpus", "compiles"),
    [
        ("auto", "hy-worldplay", "cuda", 1, True),
        ("auto", "hy-worldplay", "cuda", 2, False),
        ("auto", "hy-worldplay", "cpu", 1, False),
        ("auto", "embedded", "cuda", 1, False),
        ("on", "embedded", "cpu", 1, True),
        ("true", "embedded", "cpu", 1, True),
        ("off", "hy-worldplay", "cuda", 1, False),
        ("0", "hy-worldplay", "cuda", 1, False),
    ],
)
def test_blocks_are_compiled_where_that_pays(
    choice: str, model: str, device: str, gpus: int, compiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLDPLAY_COMPILE", choice)
    settings = load_settings(model=model, gpus=gpus)
    assert loading._wants_compiling(settings, torch.device(device)) == compiles


def test_nothing_is_rounded_to_8_bits_where_nothing_can_be_compiled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tiers, "find_rounding_problem", lambda _: None)
    monkeypatch.setattr(loading, "can_compile", partial(can_compile, compiler="none"))
    monkeypatch.setattr(loading, "keep_compiled_code", lambda: None)
    world = loading.tune(load_settings(tier="balanced", compile="on", attention="sdpa"), make_world())
    assert "blocks are not compiled: " in caplog.text
    assert any(lever.startswith("linear layers are not in 8 bits") for lever in world.levers)


RELEASED = {"model": "hy-worldplay", "device": "cpu"}
IMPOSSIBLE = [
    (
        {**RELEASED, "variant": "bidirectional", "tier": "fast"},
        "expected --tier exact for a model that only makes clips, got 'fast'",
    ),
    ({**RELEASED, "graphs": "on"}, "expected a GPU for --graphs on, got cpu; take --graphs auto"),
    ({"device": "cpu", "graphs": "on"}, "expected a GPU for --graphs on, got cpu; take --graphs auto"),
    ({**RELEASED, "attention": "flahs"}, "attention 'flahs' cannot be used here: "),
    ({**RELEASED, "tier": "fast"}, "taehv1_5.safetensors is damaged or incomplete"),
]


@pytest.fixture
def tiny_decoder(tmp_path: Path) -> Path:
    """A file of the tiny decoder's name that is none."""
    (tmp_path / TINY_DECODER).parent.mkdir()
    (tmp_path / TINY_DECODER).write_bytes(b"nothing")
    return tmp_path


@pytest.mark.parametrize(("given", "reason"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_before_anything_is_loaded(
    given: dict[str, object], reason: str, tiny_decoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise AssertionError("it was loaded or measured")

    for module, name in ((load, "load_released"), (loading, "load_embedded"), (bench, "build")):
        monkeypatch.setattr(module, name, fail)
    monkeypatch.setattr(sizing, "measure_sizes", fail)
    monkeypatch.setattr(serve, "listen", lambda host, port: None)
    monkeypatch.setattr(serve, "setup_logs", lambda level, form: None)
    monkeypatch.setattr(serve, "keep_one_heap", lambda: None)
    settings = load_settings(**{"weights_dir": tiny_decoder, "port": 0, **given})
    with pytest.raises(ValueError, match=re.escape(reason)):
        open_world(settings, sessions=1, clips=1)
    with pytest.raises(ValueError, match=re.escape(reason)), open_ranks(settings):
        pass
    with pytest.raises(ValueError, match=re.escape(reason)):
        serve.run(settings)
    if settings.model == "hy-worldplay" and settings.variant != "bidirectional":
        with pytest.raises(ValueError, match=re.escape(reason)):
            bench.run(settings, 1, RandomModel((64, 96), 4, blocks=1), None)


def test_what_cannot_be_is_refused_before_sizes_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(settings: Settings) -> Settings:
        raise AssertionError("sizes were measured")

    monkeypatch.setattr(sizing, "fix_size", fail)
    monkeypatch.setattr(serve, "listen", lambda host, port: None)
    monkeypatch.setattr(serve, "setup_logs", lambda level, form: None)
    monkeypatch.setattr(serve, "keep_one_heap", lambda: None)
    with pytest.raises(ValueError, match="expected a GPU for --graphs on"):
        serve.run(load_settings(**RELEASED, size="auto", graphs="on", port=0))


def test_a_size_that_will_be_chosen_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve --size auto` checks everything else before it measures sizes."""

    def stop(settings: Settings) -> Settings:
        assert settings.size == "auto"
        raise ValueError("sizes are measured")

    monkeypatch.setattr(sizing, "fix_size", stop)
    monkeypatch.setattr(serve, "listen", lambda host, port: None)
    monkeypatch.setattr(serve, "setup_logs", lambda level, form: None)
    monkeypatch.setattr(serve, "keep_one_heap", lambda: None)
    for tier in ("exact", "fast"):
        with pytest.raises(ValueError, match=r"^sizes are measured$"):
            serve.run(load_settings(**RELEASED, size="auto", tier=tier, port=0))


def test_what_can_be_is_not_refused(tmp_path: Path) -> None:
    for given in ({"tier": "fast"}, {"attention": "sdpa"}, {"variant": "bidirectional", "graphs": "auto"}):
        check_choices(load_settings(**{**RELEASED, "weights_dir": tmp_path, **given}))
