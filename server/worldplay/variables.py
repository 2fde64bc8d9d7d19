"""Variables of the environment: which are settings, and how their text is read."""

import re

PREFIX = "WORLDPLAY_"

# What Kubernetes sets in every container for a service whose name begins with "worldplay".
_KUBERNETES_NAME = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
# What Docker sets beside those in a container that is linked to one called "worldplay".
_DOCKER_LINK_NAME = re.compile(rf"{PREFIX}(NAME|ENV_\w+|PORT_\d+_(TCP|UDP|SCTP)(_PORT)?_(START|END))")
_KUBERNETES_PORT = re.compile(rf"{PREFIX}(\w+_)?PORT")
_KUBERNETES_URL = re.compile(r"(tcp|udp|sctp)://.*")


def is_of_another_container(variable: str, text: str) -> bool:
    """Return whether a variable with this text tells of another container."""
    if _KUBERNETES_NAME.fullmatch(variable) or _DOCKER_LINK_NAME.fullmatch(variable):
        return True
    return _KUBERNETES_PORT.fullmatch(variable) is not None and _KUBERNETES_URL.fullmatch(text) is not None


def unquote(text: str) -> str:
    """Remove spaces and quotes around a value; `docker run --env-file` keeps them."""
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].strip()
    return text
