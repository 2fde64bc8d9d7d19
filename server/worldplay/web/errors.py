"""Error responses of the HTTP API."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ExceptionHandler

from worldplay.engine.failures import REASONS, code_of

logger = logging.getLogger(__name__)

_STATUS = {"busy": 503, "out_of_memory": 503, "stopped": 503, "internal": 500}


class ApiError(Exception):
    """A request that gets an error response."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def response(self) -> Response:
        body = {"error": {"code": self.code, "message": str(self)}}
        return JSONResponse(body, self.status, headers=self.headers)


def busy(message: str, retry_s: float) -> ApiError:
    """Return the error response for a request that may be made again after `retry_s`."""
    return ApiError(503, "busy", message, {"Retry-After": str(math.ceil(retry_s))})


def clip_error(code: str, message: str) -> ApiError:
    """Return the error response for a clip that the engine could not make."""
    if code == "bad_request":
        return ApiError(422, "bad_field", message)
    return ApiError(_STATUS[code], code, message)


async def _explain_http_error(request: Request, error: Exception) -> Response:
    """Respond to the router's errors: with JSON under /api, elsewhere with text."""
    assert isinstance(error, HTTPException), error
    if not request.url.path.startswith("/api/"):
        return PlainTextResponse(error.detail, error.status_code, headers=error.headers)
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    return ApiError(error.status_code, code, error.detail, dict(error.headers or {})).response()


async def _explain_failure(request: Request, error: Exception) -> Response:
    """Respond to an error of the server. Starlette logs it afterwards."""
    code = code_of(error)
    return ApiError(_STATUS[code], code, REASONS[code]).response()


async def _note_client_left(request: Request, error: Exception) -> Response:
    """Respond to nobody: the client left before its request had come."""
    logger.info("a client left before its request had come")
    return Response(status_code=400)


EXCEPTION_HANDLERS: Mapping[Any, ExceptionHandler] = {
    ClientDisconnect: _note_client_left,
    HTTPException: _explain_http_error,
    Exception: _explain_failure,
}
