"""Checks the Host of a request: no page of another site gets in by DNS rebinding."""

import ipaddress

from worldplay.settings import Settings


def is_host_allowed(host: str | None, settings: Settings) -> bool:
    """Return whether a request may name this host.

    Addresses and names without a dot are always allowed, because no stranger can make them lead here. So are
    loopback names and all names of WORLDPLAY_ALLOW_HOST. Other names are refused if that is set, or if the
    server is for this machine alone and asks for no token.
    """
    if host is None:
        return True
    name = _name_of(host)
    if "." not in name or name.endswith(".localhost") or _is_address(name):
        return True
    if settings.allow_host:
        return name in {item.strip().lower() for item in settings.allow_host.split(",")}
    return settings.token is not None or not _is_loopback(settings.host)


def _name_of(host: str) -> str:
    """Return a Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
