"""The address to listen on: binds it, explains failures, and formats it as a URL."""

import errno
import socket

# With its default the kernel would buffer half a minute of video before a stalled page is noticed.
SEND_BUFFER_BYTES = 128 * 1024

_PORT, _HOST = "--port, WORLDPLAY_PORT or PORT", "--host, WORLDPLAY_HOST or HOST"
_REMEDIES = {
    errno.EADDRINUSE: f"stop what is using it, or choose another with {_PORT}",
    errno.EACCES: f"this user may not use ports below 1024: choose another with {_PORT}",
    errno.EADDRNOTAVAIL: f"it is not an address of this machine: choose another with {_HOST}",
}


def listen(host: str, port: int) -> socket.socket:
    """Bind an address. Raises: OSError saying what to do if that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):  # the latter for names that are too long
        raise OSError(
            f"cannot listen on {host!r}: expected an address of this machine; choose another with {_HOST}"
        ) from None
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        remedy = _REMEDIES.get(error.errno or 0, f"choose another with {_HOST}, or {_PORT}")
        raise OSError(f"cannot listen on {_join(host, port)} ({error.strerror}); {remedy}") from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the URL of a bound socket for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    return f"http://{_join(anywhere.get(host, host), port)}"


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
