"""Folders of the settings that would mix, or show to everybody what is somebody's own."""

from pathlib import Path

import pytest

from worldplay.settings import load_settings


@pytest.mark.parametrize(
    ("one", "other"), [("store", "recordings"), ("static_dir", "store"), ("static_dir", "recordings")]
)
@pytest.mark.parametrize("places", [("a", "a"), ("a/b", "a"), ("a", "a/b/c"), ("a", "b/../a"), ("a", "link")])
def test_folders_that_would_mix_are_refused(
    one: str, other: str, places: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    given = {name: str(tmp_path / place) for name, place in zip((one, other), places, strict=True)}
    with pytest.raises(ValueError, match=f"settings {one} and {other}: expected .* outside of each other"):
        load_settings(**given)


def test_token_in_the_folder_of_the_page_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a secret")
    with pytest.raises(ValueError, match="settings static_dir and token_file"):
        load_settings(static_dir=str(tmp_path), token_file=str(token))


@pytest.mark.parametrize("url", ["file://{}", "local://{}", "simplecache::file://{}", "{}/"])
def test_url_of_a_folder_is_that_folder(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="settings store and recordings"):
        load_settings(store=url.format(tmp_path), recordings=str(tmp_path))


def test_folder_may_be_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ValueError, match="settings store and recordings"):
        load_settings(store="~/walks", recordings=str(tmp_path / "walks"))


@pytest.mark.parametrize("name", ["store", "recordings"])
def test_weights_have_a_folder_of_their_own(name: str, tmp_path: Path) -> None:
    for weights in ("weights_dir", "model"):
        with pytest.raises(ValueError, match=f"settings {name} and {weights}"):
            load_settings(**{name: str(tmp_path), weights: str(tmp_path)})


def test_what_does_not_mix_is_allowed(tmp_path: Path) -> None:
    load_settings()
    load_settings(store="none", recordings="none")
    load_settings(store=str(tmp_path / "walks"), recordings=str(tmp_path / "walks-2"))
    load_settings(store="s3://bucket/walks", recordings="bucket/walks")
    load_settings(weights_dir=str(tmp_path), store=str(tmp_path / "w"), recordings=str(tmp_path / "r"))
