"""Says in JSON's words what is wrong with a field of a request; the wire's are MessagePack's."""

import json
import re
from collections.abc import Mapping, Sequence

from pydantic_core import ErrorDetails

from worldplay.protocol.errors import printable
from worldplay.protocol.validation import reword
from worldplay.world.matrices import kind_of

_SHOWN_CHARS = 40


def describe_fault(errors: Sequence[ErrorDetails]) -> str:
    """Name the first field at fault, what was expected and what was found.

    Args:
        errors: of one validation; a field that may be of several kinds has one for each.
    """
    first, where = errors[0], errors[0]["loc"][:1]
    name = printable(str(where[0])[:_SHOWN_CHARS]) if where else "the body"
    match first["type"]:
        case "missing":
            return f"{name}: expected this field, got none"
        case "extra_forbidden":
            return f"{name}: expected no such field, got {show(first['input'])}"
        case "model_type":
            return f"{name}: expected an object, got {show(first['input'])}"
    kinds = [_expectation(error) for error in errors if error["loc"][:1] == where]
    return f"{name}: expected {' or '.join(kinds)}, got {show(first['input'])}"


def _expectation(error: ErrorDetails) -> str:
    words = reword(error["msg"]).removeprefix("expected ")
    return re.sub(r"a valid (?=[aeio])", "an ", words).replace("a valid ", "a ")


def show(value: object) -> str:
    """A value as JSON writes it, or what kind it is where that would be long."""
    if isinstance(value, str) and len(value) <= _SHOWN_CHARS:
        return json.dumps(value)
    if isinstance(value, str | Mapping | Sequence):
        return kind_of(value)
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARS else kind_of(value)
