"""What `worldplay doctor` says of the time that chunks take on this machine."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from worldplay import cli, sizing
from worldplay.commands import doctor_speed
from worldplay.commands.doctor import run
from worldplay.commands.doctor_speed import choose_shown_size, describe_speed, find_paces
from worldplay.settings import ModelSettings, load_settings
from worldplay.size_paces import list_paces
from worldplay.world.model_files import TINY_DECODER
from worldplay.world.pace import Pace
from worldplay.world.released import offload_plan
from worldplay.world.released.sizes import SIZES
from worldplay.world.released.variants import find_variant

DISTILLED = find_variant("ar-distilled")


def test_doctor_tells_what_was_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {(480, 832): 4.469, (240, 416): 0.25}
    monkeypatch.setattr(doctor_speed, "recall", lambda _, size: known.get(size))
    settings = load_settings(model="hy-worldplay")
    rows = find_paces(settings, DISTILLED, 83_000_000_000)
    table, hint = "\n".join(describe_speed(settings, rows)).split("  - : ")
    assert re.search(r"480x832 +4469 ms +3.6 +0.15x +0\n", table)
    assert re.search(r"352x640 +- +- +- +-\n", table)
    assert re.search(r"240x416 +250 ms +64.0 +2.67x +2\n", table)
    assert "worldplay doctor --size auto measures it" in hint
    assert find_paces(settings, find_variant("bidirectional"), 83_000_000_000) == []


def test_doctor_measures_the_embedded_world_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sizing, "measure_embedded", lambda _: ((96, 160), Pace(0.25, 4)))
    run(load_settings(size="auto", device="cpu"), None, check=False)
    said = capsys.readouterr().out
    assert "Without a GPU only the embedded world is fast enough" in said
    assert re.search(r"The embedded world on this machine\n.*\n +96x160 +250 ms +64.0 +2.67x +2\n$", said)


def test_sessions_are_counted_with_the_tiny_decoder_where_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is what `serve` has room for."""
    monkeypatch.setattr(offload_plan, "available_memory", lambda: 128_000_000_000)
    settings = load_settings(model="hy-worldplay", weights_dir=tmp_path)
    before = find_paces(settings, DISTILLED, 100_000_000_000)
    (tmp_path / TINY_DECODER).parent.mkdir()
    (tmp_path / TINY_DECODER).touch()
    after = find_paces(settings, DISTILLED, 100_000_000_000)
    more = [now.room > was.room for was, now in zip(before, after, strict=True)]
    assert more == [row.tier == "fast" for row in before]
    fast = settings.model_copy(update={"tier": "fast"})
    served = list_paces(fast, 100_000_000_000, lambda size: None)
    assert [row.room for row in served] == [row.room for row in after if row.tier == "fast"]


def test_sizes_without_memory_for_them_say_so() -> None:
    settings = load_settings(model="hy-worldplay")
    said = list(describe_speed(settings, find_paces(settings, DISTILLED, 24_000_000_000)))
    assert [line.split("  ")[-1].strip() for line in said[2:]] == ["does not fit"] * 9


TIER_TIMES = {"exact": (4.469, 1.843, 0.9), "balanced": (2.0, 0.9, 0.5), "fast": (0.9, 0.4, 0.2)}


def known(settings: ModelSettings, size: tuple[int, int]) -> float:
    return TIER_TIMES[settings.tier][SIZES.index(size)]


def test_doctor_says_which_size_is_in_real_time_in_each_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_speed, "recall", known)
    settings = load_settings(model="hy-worldplay")
    said = list(describe_speed(settings, find_paces(settings, DISTILLED, 83_000_000_000)))
    rows = [line.split()[:3] for line in said if line.startswith("  ")]
    assert rows[0] == ["tier", "size", "chunk"]
    assert rows[1] == ["exact", "480x832", "4469"]
    assert rows[-1] == ["fast", "240x416", "200"]
    assert len(rows) == 10
    serve = "`worldplay serve --model hy-worldplay --size auto"
    assert [line.strip() for line in said[-3:]] == [
        f"{serve}` takes 240x416, the fastest; it is not in real time",
        f"{serve} --tier balanced` takes 240x416, in real time",
        f"{serve} --tier fast` takes 352x640, in real time",
    ]


@pytest.mark.parametrize(("given", "tiers"), [({"tier": "fast"}, ["fast"]), ({"gpus": 2}, [*TIER_TIMES])])
def test_doctor_shows_the_tier_that_was_asked_for_or_all(
    given: dict[str, object], tiers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_speed, "recall", known)
    settings = load_settings(model="hy-worldplay", **given)
    rows = find_paces(settings, DISTILLED, 83_000_000_000)
    assert list(dict.fromkeys(row.tier for row in rows)) == tiers
    if "gpus" in given:
        assert "--size auto --gpus 2 --tier fast` takes" in list(describe_speed(settings, rows))[-1]


@pytest.mark.parametrize(
    ("given", "step_s", "measured"),
    [
        ({}, 90.0, ["exact"] * 3 + ["balanced"]),  # the fourth is begun before five minutes have passed
        ({}, 30.0, ["exact"] * 3 + ["balanced"] * 3 + ["fast"] * 3),
        ({}, 900.0, ["exact"] * 3),
        ({"tier": "fast"}, 900.0, ["fast"] * 3),
    ],
)
def test_tiers_that_were_not_asked_for_are_measured_in_a_limited_time(
    given: dict[str, str], step_s: float, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, found = [0.0], list[str]()

    def measure(settings: ModelSettings, size: tuple[int, int]) -> float:
        now_s[0] += step_s
        found.append(settings.tier)
        return known(settings, size)

    monkeypatch.setattr(sizing, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(sizing, "recall", lambda settings, size: None)
    monkeypatch.setattr(sizing, "remember", lambda *_: None)
    monkeypatch.setattr(sizing, "time_apart", measure)
    monkeypatch.setattr(sizing, "find_free", lambda device: 83_000_000_000)
    settings = load_settings(model="hy-worldplay", size="auto", **given)
    rows = find_paces(settings, DISTILLED, 83_000_000_000)
    assert found == measured
    assert len([row for row in rows if row.pace is None]) == len(rows) - len(measured)
    assert choose_shown_size(settings, rows, planned=False) == ((352, 640) if given else (240, 416))


@pytest.mark.parametrize("model", [None, "embedded"])
def test_what_is_measured_is_the_released_model(model: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is compiled and has a tiny decoder, and its times are recalled by `serve`."""
    models: list[str] = []

    def measure(settings: ModelSettings, tiers: object) -> list[object]:
        models.append(settings.model)
        return []

    monkeypatch.setattr(sizing, "measure_tiers", measure)
    assert find_paces(load_settings(model=model, size="auto"), DISTILLED, 83_000_000_000) == []
    assert models == ["hy-worldplay"]


def test_a_tier_of_the_embedded_world_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def measure(settings: ModelSettings) -> tuple[tuple[int, int], Pace]:
        asked.append(settings.tier)
        return (96, 160), Pace(0.25, 4)

    monkeypatch.setattr(sizing, "measure_embedded", measure)
    CliRunner().invoke(cli.app, ["doctor", "--size", "auto", "--device", "cpu", "--tier", "fast"])
    run(load_settings(size="auto", device="cpu", tier="fast"), None, check=False)
    assert asked == ["fast", "fast"]
    assert "The embedded world on this machine, tier fast\n" in capsys.readouterr().out


def test_a_tier_that_is_not_measured_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    run(load_settings(device="cpu", tier="fast"), None, check=False)
    said = "Without a GPU, `worldplay doctor --size auto --tier fast` measures the embedded world\n"
    assert capsys.readouterr().out.endswith(said)
