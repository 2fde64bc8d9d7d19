"""Pictures in requests to the HTTP API."""

from base64 import b64encode

import pytest

from support.picture_files import green, indexed
from worldplay.web import request
from worldplay.web.request import ApiError, decode_image


def test_picture_without_its_palette_is_a_bad_image() -> None:
    with pytest.raises(ApiError, match="expected a whole PNG image, got a damaged one") as refused:
        decode_image(b64encode(indexed()).decode())
    assert (refused.value.status, refused.value.code) == (422, "bad_image")


def run_out_of_memory(*_: object) -> None:
    raise MemoryError


def test_lack_of_memory_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "open_image", run_out_of_memory)
    with pytest.raises(ApiError) as refused:
        decode_image(b64encode(green()).decode())
    assert (refused.value.status, refused.value.code) == (503, "out_of_memory")
