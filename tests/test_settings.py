"""Settings from arguments and the environment."""

import os
from pathlib import Path

import pytest

from support.paths import REPOSITORY
from worldplay.settings import (
    COMPILED,
    ModelSettings,
    Settings,
    keep_compiled_code,
    let_python_see_gpu_errors,
    load_model_settings,
    load_settings,
)


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell that runs the tests may have a HOST of its own."""
    for variable in ("HOST", "PORT"):
        monkeypatch.delenv(variable, raising=False)


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
    problem = (
        "setting allow_origin: expected origins like https://world.example, "
        "got 'world.example' from WORLDPLAY_ALLOW_ORIGIN"
    )
    with pytest.raises(ValueError, match=f"^{problem}$"):
        load_settings()


def test_bad_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDPLAY_PORT", "http")
    with pytest.raises(ValueError, match=r"setting port: .* got 'http'"):
        load_settings()


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "my-laptop.local", "tcp://10.0.0.1:80", "", " "])
def test_host_that_is_no_address_is_ignored(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conda's compilers and some shells set HOST to something else."""
    monkeypatch.setenv("HOST", host)
    assert load_settings().host == "127.0.0.1"


def test_ignored_host_is_told_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOST", "x86_64-conda-linux-gnu")
    load_settings(host="127.0.0.1")
    assert caplog.text == ""
    load_settings()
    assert "HOST is ignored: expected an IP address, got 'x86_64-conda-linux-gnu'" in caplog.text


@pytest.mark.parametrize(
    ("text", "host"), [("[::1]", "::1"), ("::", "::"), ('"0.0.0.0"', "0.0.0.0"), ("localhost", "localhost")]
)
def test_host_may_be_written_in_several_ways(text: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", text)
    assert load_settings().host == host
    monkeypatch.delenv("HOST")
    monkeypatch.setenv("WORLDPLAY_HOST", text)
    assert load_settings().host == host
    assert load_settings(host=text.strip('"')).host == host


def test_commands_that_do_not_listen_ignore_what_only_the_server_reads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for variable in ("PORT", "HOST", "WORLDPLAY_PORT", "WORLDPLAY_LOG_LEVEL", "WORLDPLAY_MAX_JOBS"):
        monkeypatch.setenv(variable, "nonsense")
    monkeypatch.setenv("WORLDPLAY_TOKEN", "")
    assert load_model_settings(device="cpu") == ModelSettings(device="cpu")
    assert caplog.text == ""


@pytest.mark.parametrize("blank", ["", " ", "\t\n", '""', "' '"])
@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name != "token"])
def test_blank_variable_is_as_if_it_were_not_set(
    name: str, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"WORLDPLAY_{name.upper()}", blank)
    assert load_settings() == Settings()


def test_blank_platform_port_is_as_if_it_were_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert load_settings().port == 8000
    monkeypatch.setenv("PORT", "9001")
    monkeypatch.setenv("WORLDPLAY_PORT", "")
    assert load_settings().port == 9001


@pytest.mark.parametrize("text", ["9001", " 9001 ", '"9001"', "'9001'", "9001\n"])
def test_blanks_and_quotes_around_a_value_are_taken_away(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker run --env-file` leaves the quotes, a Kubernetes secret made with `echo` the line's end."""
    monkeypatch.setenv("WORLDPLAY_PORT", text)
    monkeypatch.setenv("WORLDPLAY_TOKEN", text)
    settings = load_settings()
    assert (settings.port, settings.token) == (9001, "9001")


@pytest.mark.parametrize("variable", ["PORT", "WORLDPLAY_PORT"])
@pytest.mark.parametrize("text", ["http", "-1", "65536", "80.5"])
def test_bad_port_names_its_variable(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match=rf"^setting port: .*, got '{text}' from {variable}$"):
        load_settings()
    assert load_settings(port=9003).port == 9003


@pytest.mark.parametrize("service", ["WORLDPLAY", "WORLDPLAY_LIVE", "WORLDPLAY_SERVICE", "WORLDPLAY_PORT"])
def test_variables_of_a_kubernetes_service_are_not_ours(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "tcp://10.96.0.5:8000"
    for name, text in {
        "SERVICE_HOST": "10.96.0.5",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT": url,
        "PORT_8000_TCP": url,
        "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_ADDR": "10.96.0.5",
        "PORT_53_UDP": "udp://10.96.0.5:53",
    }.items():
        monkeypatch.setenv(f"{service}_{name}", text)
    assert load_settings() == Settings()
    assert load_model_settings() == ModelSettings()


def test_variables_of_a_linked_docker_container_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "NAME": "/web/worldplay",
        "ENV_PATH": "/usr/bin",
        "ENV_WORLDPLAY_HOST": "0.0.0.0",
        "PORT": "tcp://172.17.0.5:8000",
        "PORT_8000_TCP": "tcp://172.17.0.5:8000",
        "PORT_8000_TCP_START": "tcp://172.17.0.5:8000",
        "PORT_8000_TCP_PORT_END": "8010",
    }.items():
        monkeypatch.setenv(f"WORLDPLAY_{name}", text)
    assert load_settings() == Settings()


@pytest.mark.parametrize("variable", ["WORLDPLAY_LIVE_PORT", "WORLDPLAY_HOSTS", "WORLDPLAY_PORT_HTTP"])
def test_what_kubernetes_does_not_write_is_still_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "8000")
    with pytest.raises(ValueError, match=f"unknown setting {variable}; known are "):
        load_settings()


TABLE = (REPOSITORY / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_table_of_settings_has_each_as_it_is(name: str) -> None:
    field = Settings.model_fields[name]
    default = {None: "", Path.home() / ".cache/worldplay": "~/.cache/worldplay"}.get(
        field.default, str(field.default).removeprefix(f"{REPOSITORY}/server/")
    )
    row = f"| `WORLDPLAY_{name.upper()}` | {default} | {field.description} |"
    assert row in TABLE.splitlines()


def test_table_of_settings_has_no_others() -> None:
    assert TABLE.count("| `WORLDPLAY_") == len(Settings.model_fields)


def test_variables_may_be_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("worldplay_max_queued", "3")
    assert load_settings().max_queued == 3


def test_gpu_errors_are_left_to_the_ranks_unless_the_operator_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", {"TORCH_NCCL_DUMP_ON_TIMEOUT": "1"})
    let_python_see_gpu_errors()
    assert os.environ == {
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        "TORCH_NCCL_RETHROW_CUDA_ERRORS": "0",
        "TORCH_NCCL_WAIT_TIMEOUT_DUMP_MILSEC": "0",
    }


def test_compiled_code_is_kept_where_the_operator_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    keep_compiled_code()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(COMPILED)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    keep_compiled_code()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/elsewhere"


def test_home_is_expanded_in_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLDPLAY_MODEL", "~/my-world")
    assert load_settings().model == str(Path.home() / "my-world")


def test_token_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbfsecret\n")
    assert load_settings(token_file=tmp_path / "token").token == "secret"
