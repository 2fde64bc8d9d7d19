"""Reads requests to the HTTP API: token, headers, body, fields. Every fault raises an ApiError."""

import asyncio
import base64
import binascii
import codecs
import hmac
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from anyio import fail_after
from PIL.Image import Image
from pydantic import ValidationError
from starlette.requests import HTTPConnection, Request

from worldplay.clips.plan import ClipOptions
from worldplay.web.connections import group_address
from worldplay.web.errors import ApiError, busy
from worldplay.web.limits import LIMITS, BytesLimit
from worldplay.web.schemas import MAX_DATA_URL_HEAD, MAX_FRAMES, GenerateVideoRequest
from worldplay.wording import find_fault, show
from worldplay.world.frames import count_latents
from worldplay.world.pictures.open_image import open_image

MAX_BODY_BYTES = 2**24  # an image of LIMITS.image_bytes in base64, and hours of poses
# Brackets, braces and commas. A latent of a pose file has 35 (16 numbers in rows, 9 of K, their names).
# Ignored fields may have as many again.
MAX_BODY_MARKS = count_latents(MAX_FRAMES) * 35 * 2
BODY_TIMEOUT_S = 30.0
BODY_GRACE_S = 5.0  # after that the body must have come at LEAST_BYTES_PER_S
LEAST_BYTES_PER_S = 16 * 1024
MAX_BODIES_BYTES = 8 * MAX_BODY_BYTES  # of all bodies that are being received
MAX_ADDRESS_BYTES = 4 * MAX_BODY_BYTES  # of these, from one address
# Parameters such as the file's name may hold commas in quotes, and some programs leave out the quotes.
_DATA_URL = re.compile(rb"data:.{0,%d}?;base64," % MAX_DATA_URL_HEAD, re.IGNORECASE)
_QUOTED = ((b"%2B", b"+"), (b"%2F", b"/"), (b"%3D", b"="))  # base64 quoted for a URL
_WHITESPACE = b" \t\r\n\v\f"
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def check_token(request: Request, token: str | None) -> None:
    """Raises: ApiError if the server has a token and the request does not have it."""
    if token is None:
        return
    scheme, given = read_authorization(request)
    if scheme != b"bearer" or not hmac.compare_digest(given, token.encode()):
        message = "expected the header `Authorization: Bearer <token>` with this server's token"
        raise ApiError(401, "unauthorized", message, {"WWW-Authenticate": "Bearer"})


def read_authorization(request: Request) -> tuple[bytes, bytes]:
    """Return the scheme of the header, in lower case, and what follows it."""
    header = request.headers.get("authorization", "").encode("latin-1")  # the bytes as they came
    scheme, _, given = header.partition(b" ")
    return scheme.lower(), given.strip()


def check_operator(request: Request, token: str | None) -> None:
    """Raises: ApiError if the request does not have the server's token, or if there is none to have."""
    if token is None:
        raise ApiError(403, "forbidden", "expected a server with a token: start it with --token-file")
    check_token(request, token)


def check_headers(request: Request) -> None:
    """Refuse a request by its headers, before its body is read."""
    check_type(request, "application/json")  # of other sites, too: browsers ask before they send it elsewhere
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 20 or int(length) > MAX_BODY_BYTES:
        raise _too_large(f"{length[:20]} bytes")


def check_type(request: Request, wanted: str) -> None:
    """Raises: ApiError if the request does not say that its body is of the wanted type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        message = f"expected the header `Content-Type: {wanted}`, got {show(kind)}"
        raise ApiError(415, "unsupported_media_type", message)


class BodyBudget:
    """Bounds the bytes of all bodies that are being received. A body that has not come yet costs nothing."""

    def __init__(self, most: int = MAX_BODIES_BYTES, per_address: int = MAX_ADDRESS_BYTES) -> None:
        self._held = BytesLimit(per_address, most, one_fits=False)

    @contextmanager
    def open(self, address: str) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts bytes as they come. Raises: ApiError (busy), from that function."""
        mine = 0

        def add(num_bytes: int) -> None:
            nonlocal mine
            if not self._held.add(address, num_bytes):
                refusal = busy("too many bytes of requests are being received: try again later", 5)
                refusal.headers["Connection"] = "close"
                raise refusal
            mine += num_bytes

        try:
            yield add
        finally:
            self._held.remove(address, mine)


async def read_body(request: Request, budget: BodyBudget) -> bytes:
    """Receive the body. Raises: ApiError if it is too large or too slow, or if others take all the room."""
    return await receive(request, budget, MAX_BODY_BYTES, BODY_TIMEOUT_S)


async def receive(request: Request, budget: BodyBudget, most_bytes: int, timeout_s: float) -> bytes:
    """Receive a body of at most `most_bytes` within `timeout_s`. Raises: as `read_body`."""
    try:
        with budget.open(address_of(request)) as count, fail_after(timeout_s):
            return await _read_all(request, count, most_bytes)
    except TimeoutError:
        rate = f"{LEAST_BYTES_PER_S} bytes a second"
        message = f"expected the body within {timeout_s:.0f} s, and at least {rate}"
        raise ApiError(408, "timeout", message, {"Connection": "close"}) from None


async def _read_all(request: Request, count: Callable[[int], None], most_bytes: int) -> bytes:
    parts, num_bytes, began_s = list[bytes](), 0, monotonic()
    stream = request.stream()
    while True:
        left_s = began_s + BODY_GRACE_S + num_bytes / LEAST_BYTES_PER_S - monotonic()
        with fail_after(left_s):
            part = await anext(stream, None)
        if part is None:  # joining lets other threads run; a copy of one large object would not
            return await asyncio.to_thread(b"".join, parts)
        count(len(part))
        parts.append(part)
        num_bytes += len(part)
        if num_bytes > most_bytes:
            raise _too_large("more", most_bytes)


def address_of(request: HTTPConnection) -> str:
    """Return the client's address; all clients without one count as the same."""
    return "" if request.client is None else group_address(request.client.host)


def _too_large(got: str, most_bytes: int = MAX_BODY_BYTES) -> ApiError:
    return ApiError(413, "too_large", f"expected a body of at most {most_bytes} bytes, got {got}")


def parse_request(body: bytes) -> GenerateVideoRequest:
    """Parse the body. Raises: ApiError about its encoding, its size, or the first field at fault."""
    _check_encoding(body)
    body = body.removeprefix(codecs.BOM_UTF8)
    _check_marks(body)
    try:
        return GenerateVideoRequest.model_validate_json(body)
    except ValidationError as error:
        raise _explain(error) from None


def _explain(error: ValidationError) -> ApiError:
    fault = find_fault(error)
    if error.errors(include_input=False)[0]["type"] == "json_invalid":
        return ApiError(400, "bad_json", fault.reason)
    return ApiError(422, "bad_field", f"{fault.path or 'the body'}: {fault.reason}")


def _check_encoding(body: bytes) -> None:
    encoding = json.detect_encoding(body)
    if not encoding.startswith("utf-8"):
        raise ApiError(400, "bad_json", f"expected JSON in UTF-8, got {encoding[:6].upper()}")


def _check_marks(body: bytes) -> None:
    """Refuse a body that would become millions of objects: no other thread runs while it is parsed."""
    num_marks = sum(map(body.count, (b"[", b"{", b",")))
    if num_marks > MAX_BODY_MARKS:
        message = (
            f"expected at most {MAX_BODY_MARKS} brackets, braces and commas in the body, got {num_marks}"
        )
        raise ApiError(413, "too_large", message)


def check_pose(asked: GenerateVideoRequest) -> None:
    """Refuse numbers that JSON does not have, because the response repeats the pose. Raises: ApiError."""
    try:
        json.dumps(asked.pose, allow_nan=False)
    except ValueError:
        message = "pose: expected finite numbers, got NaN or an infinite one in a field that is ignored"
        raise ApiError(422, "bad_pose", message) from None


def read_options(asked: GenerateVideoRequest) -> ClipOptions:
    """Make clip options of a request. Raises: ApiError if the image cannot be opened."""
    return ClipOptions(
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
    """Decode base64, and open the image. Raises: ApiError.

    It may have line breaks, be a data URL, or be url-safe: with - and _, and without padding.
    """
    encoded = text.encode().translate(_FROM_URL_SAFE, _WHITESPACE)
    if head := _DATA_URL.match(encoded):
        encoded = _unquote(encoded[head.end() :])
    try:
        data = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(422, "bad_image", f"image_base64: expected base64: {error}") from None
    try:
        return open_image(data, LIMITS.image_bytes, LIMITS.image_pixels)
    except ValueError as error:
        raise ApiError(422, "bad_image", f"image_base64: {error}") from None
    except MemoryError:
        message = "image_base64: the server ran out of memory for this picture"
        raise ApiError(503, "out_of_memory", message) from None


def _unquote(encoded: bytes) -> bytes:
    """Undo URL quoting. `urllib.parse.unquote_to_bytes` would make an object for each percent sign."""
    for quoted, char in _QUOTED:
        encoded = encoded.replace(quoted, char).replace(quoted.lower(), char)
    return encoded
