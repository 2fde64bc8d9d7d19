"""The HTTP API over a real socket, answered by a tiny world."""

import base64
import codecs
import io
import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import numpy as np
import pytest
from PIL import Image

from support.clips import decode
from support.raw_socket import begin_post
from support.serving import serving
from support.tiny_world import HEIGHT, WIDTH, make_world
from worldplay.settings import load_settings
from worldplay.web.openapi import describe_api
from worldplay.web.request import MAX_BODY_BYTES, MAX_BODY_MARKS
from worldplay.world.world import World

TIMEOUT_S = 60.0
LONG = {"prompt": "", "num_frames": 2397}
HERE = {"poses": [np.eye(4).tolist()] * 4}  # 13 frames


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def post(address: str, body: object, **headers: str) -> httpx.Response:
    url = f"http://{address}/api/generate-video"
    return httpx.post(url, json=body, headers=headers, timeout=TIMEOUT_S)


def send(address: str, content: bytes | Iterator[bytes], kind: str = "application/json") -> httpx.Response:
    url = f"http://{address}/api/generate-video"
    return httpx.post(url, content=content, headers={"content-type": kind}, timeout=TIMEOUT_S)


def error(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    return response.status_code, body["error"]["code"]


def message(response: httpx.Response) -> str:
    text: str = response.json()["error"]["message"]
    return text


def picture(size: tuple[int, int] = (64, 48)) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def wait_for_jobs(address: str, count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while httpx.get(f"http://{address}/health").json()["jobs"]["queued"] != count:
        assert time.monotonic() < deadline, f"never {count} jobs"
        time.sleep(0.02)


def test_request_of_the_seed_gets_its_response(server: str) -> None:
    body = {
        "prompt": "a courtyard",
        "image_base64": picture(),
        "num_frames": 29,
        "pose": "w-4,right-3",
        "num_inference_steps": 4,
    }
    response = post(server, body)
    assert response.status_code == 200
    answer = response.json()
    assert answer.keys() == {"video_base64", "prompt", "num_frames", "pose", "generation_time_seconds"}
    assert (answer["prompt"], answer["num_frames"], answer["pose"]) == ("a courtyard", 29, "w-4,right-3")
    assert 0 < answer["generation_time_seconds"] < TIMEOUT_S
    frames = decode(base64.b64decode(answer["video_base64"]))
    assert [frame.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * 29


def test_unused_poses_are_told(server: str) -> None:
    whole = post(server, {"prompt": "", "num_frames": 13, "pose": "w-3"})
    longer = post(server, {"prompt": "", "num_frames": 13, "pose": "w-3,right-4"})
    assert (whole.status_code, longer.status_code) == (200, 200)
    assert "x-unused-poses" not in whole.headers
    assert longer.headers["x-unused-poses"] == "4"


def test_seed_is_told_and_gives_the_same_clip(server: str) -> None:
    first = post(server, {"prompt": "", "num_frames": 13})
    again = post(server, {"prompt": "", "num_frames": 13, "seed": int(first.headers["x-seed"])})
    assert again.json()["video_base64"] == first.json()["video_base64"]


@pytest.mark.slow
def test_file_is_streamed_while_it_is_made(server: str) -> None:
    url, body = f"http://{server}/api/generate-video", {"prompt": "", "num_frames": 61}
    arrivals, data = [], b""
    with httpx.stream("POST", url, json=body, headers={"accept": "video/mp4"}, timeout=TIMEOUT_S) as response:
        assert (response.status_code, response.headers["content-type"]) == (200, "video/mp4")
        for part in response.iter_raw():
            arrivals.append(time.monotonic())
            data += part
    assert len(decode(data)) == 61
    assert len(arrivals) > 4  # chunk by chunk at the least


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({}, "bad_field", "prompt: expected this field"),
        ([], "bad_field", "the body: expected an object, got an array of length 0"),
        ({"prompt": 3}, "bad_field", "prompt: expected a string, got 3"),
        ({"prompt": "", "promt": ""}, "bad_field", "promt: expected no such field"),
        (
            {"prompt": "", "a\n2026-01-01 ERROR": 1},
            "bad_field",
            r"'a\n2026-01-01 ERROR': expected no such field",
        ),
        ({"prompt": "", "num_frames": 14}, "bad_field", "nearest is 13 or 29"),
        ({"prompt": "", "num_frames": "29"}, "bad_field", "num_frames: expected an integer"),
        ({"prompt": "", "num_frames": True}, "bad_field", "num_frames: expected an integer"),
        ({"prompt": "", "num_frames": 10**30}, "bad_field", "nearest is 2397"),
        ({"prompt": "", "num_frames": 0}, "bad_field", "nearest is 13"),
        ({"prompt": "", "num_frames": 2399}, "bad_field", "at most 2400 frames), got 2399; nearest is 2397"),
        ({"prompt": "", "pose": "w-800"}, "bad_pose", "got 3201; nearest is 2397"),
        ({"prompt": None}, "bad_field", "prompt: expected a string, got null"),
        (
            {"prompt": "", "pose": "w-0," * 16_400},
            "bad_field",
            "pose: expected at most 65536 characters, got 65600",
        ),
        ({"prompt": "", "pose": [["1"] * 16] * 4}, "bad_pose", "poses[0]: expected 4 x 4 numbers"),
        ({"prompt": "", "pose": 3}, "bad_field", "pose: expected a string, an object or an array, got 3"),
        ({"prompt": "", "pose": [[10**400] * 16]}, "bad_pose", "poses[0]: expected 4 x 4 numbers"),
        ({"prompt": "", "extra": {"a": [None]}}, "bad_field", "extra: expected no such field, got an object"),
        ({"prompt": "", "num_inference_steps": 0}, "bad_field", "num_inference_steps: expected"),
        ({"prompt": "", "num_inference_steps": 10_000}, "bad_field", "num_inference_steps: expected"),
        ({"prompt": "", "width": 150}, "bad_field", "width: expected a multiple of 16, got 150"),
        (
            {"prompt": "", "height": 480},
            "bad_field",
            f"height: expected {HEIGHT}, the size of the loaded model",
        ),
        ({"prompt": "", "variant": "ar"}, "bad_field", "variant: expected 'tiny'"),
        ({"prompt": "", "seed": -1}, "bad_field", "seed: expected"),
        ({"prompt": "", "pose": "fly-3"}, "bad_pose", "expected an action of w, s"),
        ({"prompt": "", "pose": "w-3", "num_frames": 29}, "bad_pose", "7 motions"),
        ({"prompt": "", "pose": {"0": {}}}, "bad_pose", "pose '0': expected 'extrinsic'"),
        ({"prompt": "", "pose": []}, "bad_pose", "expected poses as an array"),
        ({"prompt": "", "image_base64": "%%%"}, "bad_image", "image_base64: expected base64"),
        ({"prompt": "", "image_base64": "AAAA"}, "bad_image", "expected a PNG, JPEG or WebP image"),
        ({"prompt": "", "image_base64": picture()[:-40]}, "bad_image", "image_base64: expected"),
        ({"prompt": "", "image_base64": picture((300, 3))}, "bad_image", "at most 10 : 1"),
    ],
)
def test_bad_field_is_named(server: str, body: object, code: str, named: str) -> None:
    response = post(server, body)
    assert error(response) == (422, code)
    assert named in message(response)


def test_whole_numbers_may_be_written_as_any_number(server: str) -> None:
    content = b'{"prompt": "", "num_frames": 13.0, "seed": 1e1, "num_inference_steps": 1.0, "width": 4.8e1}'
    response = send(server, content)
    assert (response.status_code, response.json()["num_frames"]) == (200, 13)
    assert error(send(server, b'{"prompt": "", "num_frames": 13.5}')) == (422, "bad_field")


def test_who_announces_a_body_and_sends_none_keeps_no_clip_from_being_made(world: World) -> None:
    head = "POST /api/generate-video HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with serving(world, max_jobs=1) as address, ExitStack() as idle:
        host, port = address.split(":")
        for _ in range(3):
            client = idle.enter_context(socket.create_connection((host, int(port))))
            client.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
        assert post(address, {"prompt": "", "num_frames": 13}).status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"prompt": "\\ud800"}', b"[" * 10_000])
def test_what_is_no_json_is_refused(server: str, content: bytes) -> None:
    assert error(send(server, content)) == (400, "bad_json")


def test_byte_order_mark_before_the_body_is_skipped(server: str) -> None:
    assert send(server, codecs.BOM_UTF8 + b'{"prompt": "", "num_frames": 13}').status_code == 200
    assert error(send(server, codecs.BOM_UTF8)) == (400, "bad_json")
    assert error(send(server, 2 * codecs.BOM_UTF8 + b"{}")) == (400, "bad_json")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_named(server: str, encoding: str) -> None:
    response = send(server, '{"prompt": ""}'.encode(encoding))
    assert error(response) == (400, "bad_json")
    assert message(response) == f"expected JSON in UTF-8, got {encoding[:6].upper()}"


@pytest.mark.parametrize("parameter", ["charset=utf-8", ' charset="UTF-8"', "charset=latin-1", "version=1"])
def test_parameters_of_the_content_type_mean_nothing(server: str, parameter: str) -> None:
    response = send(server, b'{"prompt": "", "num_frames": 13}', f"application/json;{parameter}")
    assert response.status_code == 200


@pytest.mark.parametrize(
    "item", [b"[]", b"{}", b"1", b"[" * 100 + b"]" * 100, b'{"":' * 80 + b"0" + b"}" * 80]
)
def test_body_of_mostly_structure_is_refused_unparsed(server: str, item: bytes) -> None:
    items = b",".join([item] * (2**20 // len(item)))
    response = send(server, b'{"prompt": "", "pose": [' + items + b"]}")
    assert error(response) == (413, "too_large")
    assert f"at most {MAX_BODY_MARKS} brackets, braces and commas" in message(response)


def test_other_content_types_are_refused(server: str) -> None:
    assert error(send(server, b"{}", "text/plain")) == (415, "unsupported_media_type")


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e999"])
def test_numbers_that_json_cannot_say_are_refused(server: str, number: bytes) -> None:
    content = json.dumps({"prompt": "", "pose": {**HERE, "x": [{"y": 0.5}]}}).encode().replace(b"0.5", number)
    response = send(server, content)
    assert error(response) == (422, "bad_pose")
    assert "expected finite numbers" in message(response)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(server: str, method: str) -> None:
    response = httpx.request(method, f"http://{server}/api/generate-video")
    assert error(response) == (405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_unknown_route_is_not_found_in_json(server: str) -> None:
    assert error(httpx.get(f"http://{server}/api/nothing")) == (404, "not_found")
    assert error(httpx.post(f"http://{server}/api/generate-video/", json={})) == (404, "not_found")
    assert httpx.get(f"http://{server}/nothing").text == "Not Found"


def two_hundred_megabytes() -> Iterator[bytes]:
    for _ in range(200):
        yield bytes(2**20)


@pytest.mark.parametrize("is_announced", [True, False])
def test_huge_body_is_refused_without_being_held(server: str, is_announced: bool) -> None:
    headers = {"content-type": "application/json"}
    if is_announced:
        headers["content-length"] = str(200 * 2**20)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    url = f"http://{server}/api/generate-video"
    response = httpx.post(url, content=two_hundred_megabytes(), headers=headers, timeout=TIMEOUT_S)
    assert error(response) == (413, "too_large")
    assert f"at most {MAX_BODY_BYTES} bytes" in message(response)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 64 * 1024
    assert httpx.get(f"http://{server}/health").json()["status"] == "ok"


@pytest.mark.slow
@pytest.mark.parametrize("accept", ["video/mp4", "application/json"])
def test_client_who_leaves_cancels_the_clip(world: World, accept: str) -> None:
    with serving(world) as address:
        if accept == "video/mp4":
            url, headers = f"http://{address}/api/generate-video", {"accept": accept}
            with httpx.stream("POST", url, json=LONG, headers=headers, timeout=TIMEOUT_S) as response:
                next(response.iter_raw())
        else:
            with begin_post(address, json.dumps(LONG).encode()):
                wait_for_jobs(address, 1)
        wait_for_jobs(address, 0)
        metrics = httpx.get(f"http://{address}/metrics").text
    assert "worldplay_clips_cancelled_total 1.0" in metrics
    assert "worldplay_clips_total 0.0" in metrics


def test_no_more_clips_wait_than_may(world: World) -> None:
    with serving(world, max_jobs=1) as address, httpx.Client(timeout=TIMEOUT_S) as client:
        url, accept = f"http://{address}/api/generate-video", {"accept": "video/mp4"}
        with client.stream("POST", url, json=LONG, headers=accept):
            refused = post(address, {"prompt": "", "num_frames": 13})
            assert error(refused) == (503, "busy")
            assert int(refused.headers["retry-after"]) >= 1
        wait_for_jobs(address, 0)
        assert post(address, {"prompt": "", "num_frames": 13}).status_code == 200


@pytest.mark.parametrize(
    ("accept", "kind"),
    [([], "application/json"), (["application/json;q=0.5", "VIDEO/MP4"], "video/mp4")],
)
def test_client_chooses_between_json_and_the_file(server: str, accept: list[str], kind: str) -> None:
    headers = [("accept", line) for line in accept]
    url, body = f"http://{server}/api/generate-video", {"prompt": "", "num_frames": 13}
    assert httpx.post(url, json=body, headers=headers, timeout=TIMEOUT_S).headers["content-type"] == kind


@pytest.mark.slow
def test_client_who_does_not_read_is_cut_off(world: World) -> None:
    poses = [np.eye(4).tolist()] * 80  # so the job can be seen while it waits or is done
    body = json.dumps({"prompt": "", "pose": {"poses": poses, "note": "x" * 2**23}}).encode()
    head = "POST /api/generate-video HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with serving(world, max_jobs=1, send_timeout_s=4) as address, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        host, port = address.split(":")
        client.connect((host, int(port)))
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_for_jobs(address, 1)
        wait_for_jobs(address, 0)
        assert error(post(address, {"prompt": "", "num_frames": 13})) == (503, "busy")
        wait_for_place(address)
        assert len(read_all(client)) < 2**22


def wait_for_place(address: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while post(address, {"prompt": "", "num_frames": 13}).status_code != 200:
        assert time.monotonic() < deadline, "never a place"
        time.sleep(0.02)


def read_all(client: socket.socket) -> bytes:
    client.settimeout(TIMEOUT_S)
    return b"".join(iter(lambda: client.recv(2**16), b""))


def test_token_is_needed_where_there_is_one(world: World) -> None:
    body = {"prompt": "", "num_frames": 13}
    with serving(world, token="sesame") as address:
        for wrong in ({}, {"authorization": "Bearer simsalabim"}, {"authorization": "Basic sesame"}):
            response = post(address, body, **wrong)
            assert error(response) == (401, "unauthorized")
            assert response.headers["www-authenticate"] == "Bearer"
        assert post(address, body, authorization="Bearer sesame").status_code == 200
        assert httpx.get(f"http://{address}/health").status_code == 200


def test_token_may_be_in_any_script(world: World) -> None:
    url, body = "/api/generate-video", {"prompt": "", "num_frames": 13}
    with serving(world, token="voilà") as address, httpx.Client(base_url=f"http://{address}") as client:
        for token, status in (("voilà", 200), ("voila", 401), ("voil\u00c3", 401)):
            headers = {b"authorization": f"Bearer {token}".encode()}
            assert client.post(url, json=body, headers=headers, timeout=TIMEOUT_S).status_code == status


def test_description_names_what_is_checked(server: str) -> None:
    document = httpx.get(f"http://{server}/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert document["paths"].keys() == {"/api/generate-video", "/health"}
    schemas = document["components"]["schemas"]
    assert schemas["GenerateVideoRequest"]["required"] == ["prompt"]
    assert schemas["GenerateVideoRequest"]["additionalProperties"] is False
    responses = document["paths"]["/api/generate-video"]["post"]["responses"]
    assert "401" not in responses
    assert responses["200"]["headers"].keys() == {"X-Seed", "X-Unused-Poses"}
    assert responses["503"]["headers"].keys() == {"Retry-After"}


def test_description_names_the_header_that_asks_for_a_token() -> None:
    paths = describe_api(load_settings(token="sesame"))["paths"]
    assert paths["/api/generate-video"]["post"]["responses"]["401"]["headers"].keys() == {"WWW-Authenticate"}
