"""How the API says that something is our fault."""

import json

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.testclient import TestClient

from worldplay.web.errors import EXCEPTION_HANDLERS, clip_error


@pytest.mark.parametrize(
    ("fault", "status", "code"), [(MemoryError(), 503, "out_of_memory"), (KeyError("x"), 500, "internal")]
)
def test_our_own_fault_has_a_code(fault: Exception, status: int, code: str) -> None:
    async def fail(request: Request) -> None:
        raise fault

    app = Starlette(routes=[Route("/api/fail", fail)], exception_handlers=EXCEPTION_HANDLERS)
    response = TestClient(app, raise_server_exceptions=False).get("/api/fail")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("bad_request", 422, "bad_field"),
        ("stopped", 503, "stopped"),
        ("out_of_memory", 503, "out_of_memory"),
        ("internal", 500, "internal"),
    ],
)
def test_clips_that_fail_have_a_status(code: str, status: int, told: str) -> None:
    response = clip_error(code, "why").response()
    assert response.status_code == status
    assert json.loads(bytes(response.body))["error"] == {"code": told, "message": "why"}
