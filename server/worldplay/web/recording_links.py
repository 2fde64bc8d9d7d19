"""Links to a recording: their tokens, and how a browser that opens one shows the server's own token."""

import hmac
from base64 import b64decode, urlsafe_b64encode

from starlette.requests import Request

from worldplay.web.errors import ApiError
from worldplay.web.request import read_authorization

SHARE_PARAMETER = "share"
NOT_REVOKED = "the disk fails: the link to the recording may open again after a restart; try again later"
_CHALLENGE = {
    "WWW-Authenticate": 'Basic realm="WorldPlay Live: any name, and this server\'s token", charset="UTF-8"'
}


def make_recording_token(secret: str, take: str, num_revoked: int) -> str:
    """Make the token of a link, which shows nothing of the session's secret.

    Args:
        take: names the recording.
        num_revoked: how many links to it work no more.
    """
    proof = hmac.digest(secret.encode(), f"recording {take} {num_revoked}".encode(), "sha256")
    return urlsafe_b64encode(proof).rstrip(b"=").decode()


def check_password(request: Request, token: str | None) -> None:
    """Check a request that cannot have other headers than a browser's own.

    Raises: ApiError if the server has a token, and it is not the request's password.
    """
    if token is None:
        return
    if hmac.compare_digest(_read_token(request), token.encode()):
        return
    message = "expected this server's token as the password, or in the header `Authorization: Bearer <token>`"
    raise ApiError(401, "unauthorized", message, _CHALLENGE)


def _read_token(request: Request) -> bytes:
    """Return the token of the header, or the password; nothing if it is malformed."""
    scheme, given = read_authorization(request)
    if scheme == b"bearer":
        return given
    try:
        return b64decode(given, validate=True).partition(b":")[2] if scheme == b"basic" else b""
    except ValueError:
        return b""
