"""Fetching from a hub on loopback whose connections break."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save

from support.hub_server import COMMIT, Hub, serving_hub
from support.paths import ENVIRONMENT
from worldplay.hub import client as hub_module
from worldplay.hub.client import HuggingFace
from worldplay.hub.files import HubFile, part_of
from worldplay.hub.sources import Source
from worldplay.world.model_files import suggesting

SOURCE = Source("tencent/HY-WorldPlay", ("ar_model/*.safetensors", "ar_model/*.json"), "HY-WorldPlay")
NAME = "ar_model/model.safetensors"
WEIGHTS = save({"a": torch.arange(4000.0)})
COMMAND = "run `worldplay download --variant ar`"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(hub_module, "PAUSE_S", 0.0)
    folder = tmp_path / "repositories" / SOURCE.repository / "ar_model"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_text("{}")
    (folder / "model.bin").write_bytes(b"pickle")
    with serving_hub(tmp_path / "repositories") as serving:
        yield serving
        huggingface_hub.close_session()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights" / NAME


def list_files(hub: Hub) -> list[HubFile]:
    with suggesting(COMMAND):
        return HuggingFace(hub.address).list_files(SOURCE)


def fetch(hub: Hub, path: Path) -> None:
    with suggesting(COMMAND):
        HuggingFace(hub.address).fetch(SOURCE, list_files(hub)[-1], path)


def test_files_are_listed_with_size_and_checksum(hub: Hub) -> None:
    small, large = list_files(hub)
    assert small == HubFile(
        "ar_model/config.json",
        f"{hub.address}/{SOURCE.repository}/resolve/{COMMIT}/ar_model/config.json",
        2,
        "9e26dfeeb6e641a33dae4961196235bdb965b21b",
    )
    assert (large.name, large.size, len(large.digest)) == (NAME, len(WEIGHTS), 64)


def test_broken_connection_is_mended_in_the_same_run(hub: Hub, path: Path) -> None:
    hub.cuts = [7000, 1000]
    fetch(hub, path)
    assert path.read_bytes() == WEIGHTS
    assert hub.asked == [f"{NAME} None", f"{NAME} bytes=7000-", f"{NAME} bytes=8000-"]
    assert not part_of(path).exists()


def test_connection_that_stays_broken(hub: Hub, path: Path) -> None:
    hub.cuts = [7000] + [0] * 9
    with pytest.raises(OSError, match=r"fetching ar_model/model.safetensors of .* failed \(.*\); what") as e:
        fetch(hub, path)
    assert str(e.value).endswith(f"what was fetched is kept; {COMMAND}")
    assert "\n" not in str(e.value)
    assert len(hub.asked) == 6
    assert part_of(path).stat().st_size == 7000


def test_next_run_goes_on(hub: Hub, path: Path) -> None:
    part_of(path).parent.mkdir(parents=True)
    part_of(path).write_bytes(WEIGHTS[:9000])
    fetch(hub, path)
    assert path.read_bytes() == WEIGHTS
    assert hub.asked == [f"{NAME} bytes=9000-"]


@pytest.mark.slow
def test_run_that_was_killed_is_gone_on_with(hub: Hub, path: Path) -> None:
    hub.cuts = [9000] + [0] * 9
    program = (
        f"from pathlib import Path; from worldplay.hub.client import *; hub = HuggingFace({hub.address!r}); "
        f"source = {SOURCE!r}; file = hub.list_files(source)[-1]; "
        f"hub.fetch(source, file, Path({str(path)!r}))"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
        while not part_of(path).exists() or part_of(path).stat().st_size < 9000:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    hub.cuts, hub.asked = [], []
    fetch(hub, path)
    assert path.read_bytes() == WEIGHTS
    # A last request of the killed run may be noted late, so how many there were says nothing.
    assert set(hub.asked) == {f"{NAME} bytes=9000-"}


def test_hub_that_sends_no_parts(hub: Hub, path: Path) -> None:
    hub.ranged, hub.cuts = False, [7000]
    fetch(hub, path)
    assert path.read_bytes() == WEIGHTS


def test_rest_of_another_file(hub: Hub, path: Path) -> None:
    part_of(path).parent.mkdir(parents=True)
    part_of(path).write_bytes(b"x" * 9000)
    with pytest.raises(
        ValueError, match=r"as fetched, does not have the checksum \w{12}... and was deleted; run"
    ):
        fetch(hub, path)
    assert not list(path.parent.iterdir())


def test_rest_that_is_too_long(hub: Hub, path: Path) -> None:
    part_of(path).parent.mkdir(parents=True)
    part_of(path).write_bytes(b"x" * 90_000)
    fetch(hub, path)
    assert path.read_bytes() == WEIGHTS


def test_hub_that_cannot_be_reached(hub: Hub) -> None:
    expected = r"^listing tencent/HY-WorldPlay failed \(.*refused\); what was fetched is kept$"
    with pytest.raises(OSError, match=expected):
        HuggingFace("http://127.0.0.1:9").list_files(SOURCE)


def test_repository_that_is_gated(hub: Hub) -> None:
    hub.gated.add(SOURCE.repository)
    expected = (
        r"is gated: accept its terms at https://huggingface.co/tencent/HY-WorldPlay and log in .* or take"
    )
    with pytest.raises(OSError, match=expected):
        HuggingFace(hub.address).check_access(SOURCE, list_files(hub)[0])


def test_path_that_is_a_folder(hub: Hub, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(OSError, match=r"fetching .* failed \(.*Is a directory.*\); what"):
        fetch(hub, path)


def test_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    huggingface_hub.close_session()
    with pytest.raises(OSError, match="SOCKS"):
        HuggingFace().list_files(SOURCE)
    huggingface_hub.close_session()
