"""What an operator sees: metrics in base units, and who is connected."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.paths import REPOSITORY
from support.raw_client import RawClient
from support.serving import serving
from worldplay.protocol.errors import ErrorCode
from worldplay.world.world import World


@pytest.fixture(scope="module")
def operated(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = str(tmp_path_factory.mktemp("walks"))
    folders = {"store": store, "recordings": str(tmp_path_factory.mktemp("recordings"))}
    with serving(world, max_sessions=1, token="t", idle_limit_s=1.0, **folders) as address:
        yield address


def families(address: str) -> dict[str, dict[tuple[str, ...], float]]:
    text = httpx.get(f"http://{address}/metrics").text
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_every_metric_has_a_help_text(operated: str) -> None:
    text = httpx.get(f"http://{operated}/metrics").text
    for family in text_string_to_metric_families(text):
        if family.name.startswith("worldplay"):
            assert family.documentation.endswith("."), family.name


def test_names_are_in_base_units_and_none_comes_twice(operated: str) -> None:
    lines = httpx.get(f"http://{operated}/metrics").text.splitlines()
    kinds = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(kinds) == len(set(kinds))
    assert {
        "worldplay_uptime_seconds",
        "worldplay_busy_seconds_total",
        "worldplay_stage_seconds_total",
    } <= set(kinds)
    assert "process_resident_memory_bytes" in kinds
    assert [kind for kind in kinds if re.search(r"_(ms|mb|milliseconds|minutes)(_|$)", kind)] == []


def test_what_never_happened_counts_as_none(server: str) -> None:
    text = httpx.get(f"http://{server}/metrics").text
    found = {
        family.name: {value for sample in family.samples for value in sample.labels.values()}
        for family in text_string_to_metric_families(text)
    }
    assert found["worldplay_protocol_errors"] == {code.value for code in ErrorCode}
    assert found["worldplay_resumes"] == {"memory", "store", "unknown", "refused"}
    assert found["worldplay_slots_yielded"] == {"silent", "paused", "idle", "turn"}
    assert found["worldplay_cuts_refused"] == {"same", "late", "stall", "often"}
    assert found["worldplay_stage_seconds"] == {"select", "context", "denoise", "decode"}


def test_clients_are_counted_by_state(operated: str) -> None:
    url = f"ws://{operated}/ws?fields=yielded"
    with RawClient(url) as first, RawClient(url) as second, RawClient(url) as third:
        for each in (first, second, third):
            each.hello(token="t")
        first.start(seed=1)
        first.recv_type("media")
        first.send("playhead", shown=0.0, buffered=0.1, stalled=2, hidden=False)
        second.send("start", seed=1)
        second.recv_type("queued")
        found = families(operated)
        states = found["worldplay_clients"]
        assert (states["walking",], states["queued",], states["choosing",]) == (1, 1, 1)
        assert found["worldplay_client_stalls"][()] == 2
        first.recv_type("queued")
        assert families(operated)["worldplay_slots_yielded"]["idle",] == 1


def test_operator_sees_who_is_connected(operated: str) -> None:
    with RawClient(f"ws://{operated}/ws") as client:
        client.hello(token="t")
        client.start(seed=1)
        client.recv_type("media")
        answer = httpx.get(f"http://{operated}/api/sessions", headers={"Authorization": "Bearer t"})
        (session,) = answer.json()["sessions"]
    assert (session["state"], session["address"]) == ("walking", "127.0.0.1")
    assert session["frames"] > 0
    assert session["client"].startswith("socket-")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}])
def test_others_do_not_see_who_is_connected(operated: str, headers: dict[str, str]) -> None:
    assert httpx.get(f"http://{operated}/api/sessions", headers=headers).status_code == 401


def test_server_without_a_token_shows_nobody(server: str) -> None:
    assert httpx.get(f"http://{server}/api/sessions").status_code == 403


def test_dashboard_asks_only_for_metrics_that_exist(operated: str) -> None:
    dashboard = json.loads((REPOSITORY / "docs" / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"(?:worldplay|process)_[a-z_]+", target["expr"])
    }
    text = httpx.get(f"http://{operated}/metrics").text
    exported = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    exported |= {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert asked
    assert asked <= exported
