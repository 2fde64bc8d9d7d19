"""What a request's body may be, without a server."""

import base64
import io
import json
from collections.abc import Callable
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request

from support.picture_files import green, indexed
from worldplay.web import request
from worldplay.web.errors import ApiError
from worldplay.web.limits import LIMITS
from worldplay.web.recording_links import check_password
from worldplay.web.request import BodyBudget, check_token, decode_image, parse_request
from worldplay.web.schemas import MAX_FRAMES


def picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    "write",
    [
        base64.encodebytes,
        lambda data: b"data:image/png;base64," + base64.b64encode(data),
        lambda data: b"\r\n data:image/png;base64,\r\n" + base64.encodebytes(data),
        base64.urlsafe_b64encode,
        lambda data: base64.b64encode(data).rstrip(b"="),
        lambda data: b"data:image/png;base64," + base64.urlsafe_b64encode(data).rstrip(b"="),
    ],
)
def test_base64_comes_in_lines_or_as_a_data_url_or_url_safe(write: Callable[[bytes], bytes]) -> None:
    data = base64.b64decode(picture()) + b"\xfb\xef\xbe\xff\xff\xff"  # in base64 ++++////
    data += bytes(-(len(data) + 1) % 3)  # which ends with ==
    assert decode_image(write(data).decode()).size == (64, 48)


@pytest.mark.parametrize(
    "parameters",
    [
        "name=IMG_20240511_173015_HDR.jpg",
        "name=Bildschirmfoto%202024-05-11%20um%2017.30.15.png",
        "charset=utf-8;filename=" + "a" * 255,
        'name="one; two, three.png"',
        "name=a,b.png",
        "name=G\u00f6tterd\u00e4mmerung \u96ea.png",
    ],
)
def test_data_url_may_name_the_file(parameters: str) -> None:
    assert decode_image(f"data:image/png;{parameters};base64,{picture()}").size == (64, 48)
    assert decode_image(f"DATA:image/png; {parameters}; BASE64, {picture()}").size == (64, 48)


def test_data_url_may_have_its_base64_quoted_as_urls_are() -> None:
    assert decode_image(f"data:image/png;base64,{quote(picture(), safe='')}").size == (64, 48)


def test_image_of_the_largest_size_fits_beside_the_name_of_its_file() -> None:
    text = "data:image/png;name=" + "a" * 255 + ";base64," + "A" * ((LIMITS.image_bytes + 2) // 3 * 4)
    assert parse_request(json.dumps({"prompt": "", "image_base64": text}).encode()).image_base64 == text


def test_many_spaces_before_base64_take_no_time() -> None:
    assert decode_image(" " * 2**20 + picture()).size == (64, 48)  # hours, if each may begin a data URL


def test_data_url_is_one_from_its_start() -> None:
    with pytest.raises(ApiError, match="image_base64: expected base64"):
        decode_image("AAAAdata:image/png;base64," + picture())


@pytest.mark.parametrize("kind", ["image/png;charset=utf-8", "application/octet-stream", "IMAGE/PNG", ""])
def test_data_url_may_be_of_any_kind_as_the_picture_tells_its_own(kind: str) -> None:
    assert decode_image(f"data:{kind};base64,{picture()}").size == (64, 48)


def test_longest_pose_file_is_no_more_structure_than_may_be() -> None:
    pose = {"extrinsic": np.eye(4).tolist(), "K": np.eye(3).tolist()}
    body = {"prompt": "," * 2000, "pose": {str(index): pose for index in range((MAX_FRAMES + 3) // 4)}}
    assert parse_request(json.dumps(body).encode()).pose == body["pose"]


def test_picture_without_its_palette_is_a_bad_image() -> None:
    with pytest.raises(ApiError, match="expected a whole PNG image, got a damaged one") as refused:
        decode_image(base64.b64encode(indexed()).decode())
    assert (refused.value.status, refused.value.code) == (422, "bad_image")


def run_out_of_memory(*_: object) -> None:
    raise MemoryError


def test_lack_of_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "open_image", run_out_of_memory)
    with pytest.raises(ApiError) as refused:
        decode_image(base64.b64encode(green()).decode())
    assert (refused.value.status, refused.value.code) == (503, "out_of_memory")


def test_body_that_has_not_come_takes_no_room_of_others() -> None:
    budget = BodyBudget(most=100, per_address=60)
    with budget.open("silent"), budget.open("honest") as add:
        add(60)
        with pytest.raises(ApiError, match="too many bytes"):
            add(1)


def test_one_address_cannot_take_the_room_of_all_bodies() -> None:
    budget = BodyBudget(most=100, per_address=60)
    with budget.open("greedy") as add, budget.open("greedy") as add_more:
        add(60)
        with pytest.raises(ApiError, match="too many bytes"):
            add_more(1)
        with budget.open("other") as add_other:
            add_other(39)
    with budget.open("greedy") as add:
        add(60)


@pytest.mark.parametrize("check", [check_token, check_password])
def test_token_may_end_in_any_letter(check: Callable[[Request, str], None]) -> None:
    header = b"bearer  " + "voilà".encode()  # the last byte alone would be a space
    check(Request({"type": "http", "headers": [(b"authorization", header)]}), "voilà")


def test_first_piece_of_a_body_is_no_exception() -> None:
    budget = BodyBudget(most=100, per_address=60)
    with budget.open("greedy") as add, pytest.raises(ApiError, match="too many bytes"):
        add(61)
