"""The kinds of values that settings have, and how each is checked."""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from worldplay.protocol.origin import read_origins
from worldplay.world.frames import parse_size
from worldplay.world.pace import AUTO

_SWITCHES = {"1": "on", "true": "on", "yes": "on", "0": "off", "false": "off", "no": "off"}


def expand_home(path: Path) -> Path:
    """Accept a path that begins with the home folder, ~."""
    return Path(os.path.expanduser(path))


def _refuse_blank(token: str) -> str:
    """Refuse a blank token: it would look like protection, but admit everybody."""
    if not token.strip():
        raise PydanticCustomError("blank", "expected a token that is not blank; leave it out to have none")
    return token


def _check_origins(origins: str) -> str:
    read_origins(origins)
    return origins


def _check_proxies(proxies: str) -> str:
    read_proxies(proxies)
    return proxies


def read_proxies(text: str) -> frozenset[str]:
    """Read IP addresses separated by commas. Raises: ValueError naming the first that is none."""
    addresses = [item.strip() for item in text.split(",") if item.strip()]
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise ValueError(f"expected IP addresses of proxies, got {address!r}") from None
    return frozenset(addresses)


def _check_size(size: str) -> str:
    if size != AUTO:
        parse_size(size)
    return size


def strip_brackets(host: str) -> str:
    """Accept an IPv6 address that is written as in a URL: [::1]."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _read_switch(value: object) -> object:
    """Accept what switches are usually set to."""
    return _SWITCHES.get(str(value).lower(), value)


Folder = Annotated[Path, AfterValidator(expand_home)]
NameOrFolder = Annotated[str, AfterValidator(os.path.expanduser)]
Size = Annotated[str, AfterValidator(_check_size)]
Host = Annotated[str, Field(min_length=1), AfterValidator(strip_brackets)]
Token = Annotated[str, Field(max_length=512), AfterValidator(_refuse_blank)]
Origins = Annotated[str, AfterValidator(_check_origins)]
Choice = Annotated[Literal["auto", "on", "off"], BeforeValidator(_read_switch)]
Proxies = Annotated[str, AfterValidator(_check_proxies)]
Variant = Literal["ar-distilled", "ar", "ar-rl", "bidirectional"]
