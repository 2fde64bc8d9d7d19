"""What the embedded world tells and answers, over a real socket."""

import io
import threading
from dataclasses import replace

import httpx
import pytest
from PIL import Image

from support.raw_client import Closed, RawClient
from support.serving import serving
from web.test_stream import is_chunk, walk
from worldplay.world.world import World


def test_welcome_describes_the_world(server: str) -> None:
    with walk(server) as client:
        welcome = client.hello()
        assert client.subprotocol == "worldplay.v1"
    assert (welcome["fps"], welcome["size"], welcome["resumed"]) == (24, [320, 192], False)
    views = welcome["worlds"][0]["views"]
    assert len(views) == 3
    assert Image.open(io.BytesIO(views[0]["preview"])).size == (320, 192)


def test_welcome_suggests_prompts_and_says_what_becomes_of_pictures(server: str) -> None:
    with walk(server) as client:
        courtyard = client.hello()["worlds"][0]
    assert courtyard["suggestions"][2] == {"title": "Night", "prompt": "the courtyard at night"}
    assert courtyard["own_pictures"] == "nearest_view"


def test_own_image_is_answered_with_the_view_most_like_it(server: str) -> None:
    with walk(server) as client:
        garden = client.hello()["worlds"][0]["views"][1]
        client.send("start", image=garden["preview"])
        messages = client.collect(lambda message: message["type"] == "chunk")
    told = next(message for message in messages if message["type"] == "state")
    assert told == {"type": "state", "what": "view", "view": garden["name"]}
    assert messages.index(told) < [message["type"] for message in messages].index("init")


def test_health_and_metrics(server: str) -> None:
    with walk(server) as client:
        client.hello()
        client.start(seed=1)
        client.press(["w"])
        client.collect(is_chunk(2))
        health = httpx.get(f"http://{server}/health").json()
    assert (health["live"], health["ready"], health["model"], health["device"]) == (
        True,
        True,
        "embedded",
        "cpu",
    )
    assert health["sessions"]["active"] == 1
    text = httpx.get(f"http://{server}/metrics").text
    assert 'worldplay_stage_seconds_total{stage="denoise"}' in text
    assert "worldplay_input_to_photon_seconds_count" in text


def test_health_has_the_fields_of_the_seed(server: str) -> None:
    health = httpx.get(f"http://{server}/health").json()
    assert {name: health[name] for name in ("status", "model_path", "model_type", "action_ckpt")} == {
        "status": "ok",
        "model_path": "embedded",
        "model_type": "embedded",
        "action_ckpt": "transformer.safetensors",
    }
    assert health["pipeline_loaded"] is True


@pytest.mark.slow
def test_client_that_never_reads_does_not_block_another(world: World) -> None:
    """Here, as a tiny world's video would not fill the socket's buffers."""
    quick = replace(world, rollout=replace(world.rollout, config=replace(world.rollout.config, steps=1)))
    with serving(quick, send_timeout_s=1.0) as address, walk(address) as deaf, walk(address) as other:
        deaf.hello()
        deaf.start(seed=1)
        stop = threading.Event()
        flooding = threading.Thread(target=_acknowledge_blindly, args=(deaf, stop))
        flooding.start()
        other.hello()
        other.start(seed=1)
        other.collect(is_chunk(4), timeout=60.0)
        stop.set()
        flooding.join(60.0)


def _acknowledge_blindly(client: RawClient, stop: threading.Event) -> None:
    """Ask for ever more video without reading any."""
    shown = 0.0
    while not stop.wait(0.05):
        shown += 1.0
        try:
            client.send("playhead", shown=shown, buffered=0.0, stalled=0, hidden=False)
        except Closed:
            return
