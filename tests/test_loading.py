"""Which world the settings ask for, and what an operator hears who asks for one that is not there."""

from dataclasses import replace
from pathlib import Path

import pytest

from worldplay import loading
from worldplay.app import run
from worldplay.cli import listen
from worldplay.loading import open_world
from worldplay.settings import load_settings
from worldplay.world.checkpoint import EMBEDDED, ReleasedChoice, load_world
from worldplay.world.variants import find_variant


def test_embedded_world_takes_no_notice_of_the_variant() -> None:
    settings = load_settings(model=str(EMBEDDED), variant="ar", device="cpu")
    assert open_world(settings).name == load_world("embedded", "cpu").name


def test_settings_of_the_released_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ReleasedChoice] = []
    monkeypatch.setattr(loading, "load_world", lambda model, device, choice: asked.append(choice))
    open_world(load_settings(variant="ar", size="352x640", shift=7, weights_dir=tmp_path, max_sessions=2))
    variant = replace(find_variant("ar"), shift=7.0)
    assert asked == [ReleasedChoice(variant, (352, 640), tmp_path, sessions=2)]
    assert variant.rollout().shift == 7.0


def test_released_model_that_has_not_been_downloaded(tmp_path: Path) -> None:
    settings = load_settings(model="hy-worldplay", variant="ar", weights_dir=tmp_path, device="cpu")
    expected = (
        r"^\S*/HY-WorldPlay/ar_model is missing \(nor is there in \S* any of ar_model\); "
        r"run `worldplay download --variant ar --weights-dir \S*`$"
    )
    with pytest.raises(OSError, match=expected):
        open_world(settings)


def test_directory_with_parts_of_a_released_model(tmp_path: Path) -> None:
    (tmp_path / "ar_distilled_action_model").mkdir()
    with pytest.raises(
        OSError,
        match=r"HunyuanVideo-1.5-Diffusers-480p_i2v/vae is missing \(nor is there in \S+ any of "
        r"HunyuanVideo-1.5/vae, vae\); run `worldplay download --variant ar-distilled --weights-dir",
    ):
        open_world(load_settings(model=str(tmp_path), device="cpu"))


def test_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match="setting variant: Input should be 'ar-distilled'"):
        load_settings(variant="wan")


def test_bidirectional_variant_is_not_served() -> None:
    settings = load_settings(model="hy-worldplay", variant="bidirectional", device="cpu", port=0)
    with listen(settings) as listening, pytest.raises(ValueError, match="cannot be walked live; use"):
        run(settings, listening)
