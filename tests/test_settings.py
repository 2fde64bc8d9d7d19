"""Settings from arguments and the environment."""

from pathlib import Path

import pytest

from worldplay.settings import load_settings


def test_defaults_bind_to_loopback() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8000, "embedded")


def test_host_and_port_come_from_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", "9001")
    settings = load_settings()
    assert (settings.host, settings.port) == ("0.0.0.0", 9001)


def test_prefixed_variable_wins_over_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("WORLDPLAY_PORT", "9002")
    assert load_settings().port == 9002


def test_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDPLAY_PORT", "9002")
    assert load_settings(port=9003).port == 9003


def test_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDPLAY_PROT", "9002")
    with pytest.raises(ValueError, match="unknown setting WORLDPLAY_PROT"):
        load_settings()


def test_folders_may_be_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/walker")
    monkeypatch.setenv("WORLDPLAY_STATIC_DIR", "~/page")
    settings = load_settings(weights_dir=Path("~/weights"))
    assert (settings.weights_dir, settings.static_dir) == (
        Path("/home/walker/weights"),
        Path("/home/walker/page"),
    )


def test_unknown_home_stays_as_it_is() -> None:
    assert load_settings(weights_dir="~nobody-here/x").weights_dir == Path("~nobody-here/x")


@pytest.mark.parametrize("blank", ["", " \t"])
def test_blank_token_is_refused(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    monkeypatch.setenv("WORLDPLAY_TOKEN", blank)
    expected = "setting token: expected a token that is not blank; leave it out to have none, got "
    with pytest.raises(ValueError, match=f"^{expected}"):
        load_settings()


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        ("8x8", "expected sides in multiples of 16 up to 1280, got 8x8"),
        ("480X832", "expected a size like 480x832 (height x width), got '480X832'"),
    ],
)
def test_impossible_size_is_refused(size: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^setting size: expected") as refusal:
        load_settings(size=size)
    assert str(refusal.value) == f"setting size: {problem}"


def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDPLAY_ALLOW_ORIGIN", "world.example")
    problem = "setting allow_origin: expected origins like https://world.example, got 'world.example'"
    with pytest.raises(ValueError, match=f"^{problem}$"):
        load_settings()


def test_bad_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDPLAY_PORT", "http")
    with pytest.raises(ValueError, match=r"setting port: .* got 'http'"):
        load_settings()
