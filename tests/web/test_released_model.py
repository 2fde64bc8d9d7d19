"""A released model (a tiny one, as published) on the paths that people take: the page's socket, and clips."""

import base64
import io
from pathlib import Path

import av
import httpx
import pytest
import torch
from PIL import Image

from support.published import TRANSFORMER, VAE
from support.raw_client import RawClient
from support.serving import serving
from worldplay.clips.plan import ClipError, ClipOptions, plan_clip
from worldplay.clips.writer import write_clip
from worldplay.world.released.load import ReleasedConfig, load_released
from worldplay.world.released.memory_estimate import Shapes
from worldplay.world.released.variants import find_variant
from worldplay.world.world import World

SIZE = (64, 96)


def load(root: Path, variant: str) -> World:
    torch.set_num_threads(1)
    config = ReleasedConfig(find_variant(variant), SIZE, shapes=Shapes(TRANSFORMER, VAE))
    return load_released(config, root, torch.device("cpu"), None)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (120, 80), (200, 80, 40)).save(buffer, "PNG")
    return buffer.getvalue()


def test_visitor_walks_through_a_released_model(layouts: dict[str, Path]) -> None:
    world = load(layouts["diffusers"], "ar-distilled")
    with serving(world) as address, RawClient(f"ws://{address}/ws") as client:
        welcome = client.hello()
        assert (welcome["model"], welcome["size"]) == ("ar-distilled", [96, 64])
        assert welcome["worlds"][0]["own_pictures"] == "as_is"
        assert "suggestions" not in welcome["worlds"][0]
        client.start(image=png(), prompt='A door with "Bakery" on it', seed=3)
        client.press(["w"])
        messages = client.collect(lambda message: message["type"] == "chunk" and message["index"] == 1)
        client.send("prompt", text="A desert")
        client.collect(lambda message: message["type"] == "state" and message["what"] == "prompt")
    assert sum(message["type"] == "media" for message in messages) == 13
    assert "state" not in {message["type"] for message in messages}  # the picture is the place


@pytest.mark.slow
def test_bidirectional_clip_is_written(layouts: dict[str, Path], tmp_path: Path) -> None:
    world = load(layouts["original"], "bidirectional")
    plan = plan_clip(
        world, ClipOptions(prompt="Sand", num_frames=61, seed=1, steps=1, variant="bidirectional")
    )
    record = write_clip(world, plan, tmp_path / "clip.mp4", lambda frames_done: None, overlay=False)
    assert [done.report.chunk.num_frames for done in record.chunks] == [61]
    with av.open(tmp_path / "clip.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 61


def test_bidirectional_clip_of_half_a_chunk(layouts: dict[str, Path]) -> None:
    world = load(layouts["original"], "bidirectional")
    with pytest.raises(ClipError, match=r"expected 61, 125, 189, 253 .* got 29; nearest is 61"):
        plan_clip(world, ClipOptions(prompt="Sand", num_frames=29))


@pytest.mark.slow
def test_bidirectional_model_is_served_for_clips_only(layouts: dict[str, Path]) -> None:
    world = load(layouts["original"], "bidirectional")
    assert world.rollout.config.steps == 30  # where a request names none
    with serving(world) as address, RawClient(f"ws://{address}/ws") as client:
        health = httpx.get(f"http://{address}/health").json()
        assert (health["status"], health["model_type"], health["can_walk"]) == ("ok", "bidirectional", False)
        assert health["sessions"]["max"] == 0
        welcome = client.hello()
        assert welcome["chunk"] == {"latents": 16, "frames": 64, "first_frames": 61}
        assert welcome["can_walk"] is False
        client.send("start", prompt="Sand")
        refused = client.recv_type("error")
        assert (refused["code"], refused["fatal"]) == ("bad_request", False)
        assert "expected a model that can be walked, got bidirectional" in refused["message"]
        clip, short = (post_clip(address, frames) for frames in (61, 29))
    assert clip.status_code == 200
    with av.open(io.BytesIO(base64.b64decode(clip.json()["video_base64"])), "r") as container:
        assert len(list(container.decode(video=0))) == 61
    assert short.status_code == 422
    assert "nearest is 61" in short.json()["error"]["message"]


def post_clip(address: str, num_frames: int) -> httpx.Response:
    body = {"prompt": "Sand", "num_frames": num_frames, "num_inference_steps": 1}
    return httpx.post(f"http://{address}/api/generate-video", json=body, timeout=120)
