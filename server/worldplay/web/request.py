"""Reads requests to the HTTP API: who asks, how much, and what for; what is wrong gets an answer."""

import asyncio
import base64
import binascii
import hmac
import json
import re

from PIL.Image import Image
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from worldplay.api_words import describe_fault
from worldplay.clips.plan import ClipWish
from worldplay.protocol.errors import brief
from worldplay.web.schemas import MAX_FRAMES, GenerateVideoRequest
from worldplay.web.translate import LIMITS
from worldplay.world.pictures.open_image import open_image

MAX_BODY_BYTES = 2**24  # an image of LIMITS.image_bytes in base64, and hours of poses
# A latent of a pose file takes 35 (16 numbers in rows, 9 of K, their names); as much again may be ignored.
MAX_BODY_MARKS = (MAX_FRAMES + 3) // 4 * 35 * 2
BODY_TIMEOUT_S = 30.0
_DATA_URL = re.compile(rb"data:[^,]{0,40};base64,", re.IGNORECASE)
_WHITESPACE = b" \t\r\n\v\f"


class ApiError(Exception):
    """A request is refused."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def response(self) -> Response:
        body = {"error": {"code": self.code, "message": str(self)}}
        return JSONResponse(body, self.status, headers=self.headers)


def check_token(request: Request, token: str | None) -> None:
    """Raises: ApiError if the server has a token and the request has not."""
    if token is None:
        return
    header = request.headers.get("authorization", "").encode("latin-1")  # the bytes as they came
    scheme, _, given = header.partition(b" ")
    if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), token.encode()):
        message = "expected the header `Authorization: Bearer <token>` with this server's token"
        raise ApiError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


def check_headers(request: Request) -> None:
    """Refuse what its headers already show to be useless, before a byte of it is read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # also keeps other sites' forms out: a page may send JSON only if asked
        message = f"expected the header `Content-Type: application/json`, got {brief(kind)}"
        raise ApiError(415, "unsupported_media_type", message)
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 20 or int(length) > MAX_BODY_BYTES:
        raise _too_large(f"{length[:20]} bytes")


async def read_body(request: Request) -> bytes:
    """Raises: ApiError if it is too large or too slow."""
    try:
        return await asyncio.wait_for(_read_all(request), BODY_TIMEOUT_S)
    except asyncio.TimeoutError:
        message = f"expected the body within {BODY_TIMEOUT_S:.0f} s"
        raise ApiError(408, "timeout", message, {"Connection": "close"}) from None


async def _read_all(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise _too_large("more")
    return bytes(body)


def _too_large(got: str) -> ApiError:
    return ApiError(413, "too_large", f"expected a body of at most {MAX_BODY_BYTES} bytes, got {got}")


def parse_request(body: bytes) -> GenerateVideoRequest:
    """Raises: ApiError about too much structure, or about the first field at fault."""
    _check_marks(body)
    try:
        return GenerateVideoRequest.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False)
    if faults[0]["type"] == "json_invalid":
        raise ApiError(400, "bad_json", f"expected JSON: {faults[0]['ctx']['error']}")
    raise ApiError(422, "bad_field", describe_fault(faults))


def _check_marks(body: bytes) -> None:
    """Refuse what would become millions of objects, while the parser lets no other thread run."""
    num_marks = sum(map(body.count, (b"[", b"{", b",")))
    if num_marks > MAX_BODY_MARKS:
        message = (
            f"expected at most {MAX_BODY_MARKS} brackets, braces and commas in the body, got {num_marks}"
        )
        raise ApiError(413, "too_large", message)


def check_pose(asked: GenerateVideoRequest) -> None:
    """Refuse what the answer, which repeats the pose, could not say. Raises: ApiError."""
    try:
        json.dumps(asked.pose, allow_nan=False)
    except ValueError:
        message = "pose: expected finite numbers, got NaN or an infinite one, where it is ignored"
        raise ApiError(422, "bad_pose", message) from None


def wish_of(asked: GenerateVideoRequest) -> ClipWish:
    """Raises: ApiError if the image cannot be opened."""
    return ClipWish(
        prompt=asked.prompt,
        image=None if asked.image_base64 is None else decode_image(asked.image_base64),
        pose=asked.pose,
        num_frames=asked.num_frames,
        seed=asked.seed,
        steps=asked.num_inference_steps,
        variant=asked.variant,
        width=asked.width,
        height=asked.height,
    )


def decode_image(text: str) -> Image:
    """Open base64, also in lines or as a data URL. Raises: ApiError saying what was expected and found."""
    encoded = text.encode().translate(None, _WHITESPACE)
    if prefix := _DATA_URL.match(encoded):
        encoded = encoded[prefix.end() :]
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(422, "bad_image", f"image_base64: expected base64, got an error: {error}") from None
    try:
        return open_image(data, LIMITS.image_bytes, LIMITS.image_pixels)
    except ValueError as error:
        raise ApiError(422, "bad_image", f"image_base64: {error}") from None
    except MemoryError:
        message = "image_base64: the server ran out of memory for this picture"
        raise ApiError(503, "out_of_memory", message) from None
