"""Which addresses can be listened on, and what an operator hears of those that cannot."""

import errno
import socket

import pytest

from worldplay.web.address import listen, url_of


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1"),
        ("0.0.0.0", "http://127.0.0.1"),
        ("::1", "http://[::1]"),
        ("::", "http://[::1]"),
    ],
)
def test_address_for_a_browser(host: str, url: str) -> None:
    with listen(host, 0) as listening:
        assert url_of(listening) == f"{url}:{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    "host", ["x86_64-conda-linux-gnu.invalid", "http://0.0.0.0", "0.0.0.0:80", "a" * 300, "[::1", "a..b"]
)
def test_what_is_no_address_is_not_blamed_on_the_port(host: str) -> None:
    with pytest.raises(
        OSError,
        match=r"expected an address of this machine; choose another with --host, WORLDPLAY_HOST or HOST$",
    ):
        listen(host, 0)


def test_address_of_another_machine() -> None:
    with pytest.raises(
        OSError,
        match=r"^cannot listen on 192\.0\.2\.1:0 .*: choose another with --host, WORLDPLAY_HOST or HOST$",
    ):
        listen("192.0.2.1", 0)


def test_taken_port_of_an_ipv6_address() -> None:
    with listen("::1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"^cannot listen on \[::1\]:{port} .*; stop what is using it"):
            listen("::1", port)


def test_port_for_which_rights_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(
        OSError, match=r"cannot listen on 127.0.0.1:80 .* choose another with --port, WORLDPLAY_PORT or PORT$"
    ):
        listen("127.0.0.1", 80)
