"""Maps to messages: one field that is not as documented refuses the message and says which."""

import re
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worldplay.protocol.errors import ErrorCode, ProtocolError, brief, printable
from worldplay.protocol.messages import Record

M = TypeVar("M", bound=Record)

_REWORDINGS = (
    (r"^[A-Z][a-z]+ should (be|have) ", "expected "),
    (r"greater than or equal to", "at least"),
    (r"less than or equal to", "at most"),
    (r" after validation, not \d+$", ""),
    (r"a valid bytes", "bytes"),
)


def find_class(classes: dict[str, type[M]], kind: str) -> type[M]:
    """Raises: ProtocolError (unknown_type)."""
    if kind not in classes:
        known = ", ".join(classes)
        raise ProtocolError(ErrorCode.UNKNOWN_TYPE, f"expected one of {known}, got {brief(kind)}")
    return classes[kind]


def validate(cls: type[M], fields: dict[str, Any]) -> M:
    """Raises: ProtocolError (bad_field) about the first field at fault."""
    try:
        return cls.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ProtocolError(ErrorCode.BAD_FIELD, f"{fields['type']}{describe_error(first)}") from error


def describe_error(error: ErrorDetails) -> str:
    """Say where in a message it is, after a dot each, what was expected and what was found."""
    where = "".join(f".{printable(str(part)[:40])}" for part in error["loc"])
    got = brief(error["input"])
    match error["type"]:
        case "missing":
            return f"{where}: expected this field, got none"
        case "extra_forbidden":
            return f"{where}: expected no such field, got {got}"
        case "model_type":
            return f"{where}: expected a map, got {got}"
        case "tuple_type":
            return f"{where}: expected a list, got {got}"
        case "value_error":
            return f"{where}: {error['ctx']['error']}"
        case _:
            return f"{where}: {reword(error['msg'])}, got {got}"


def reword(pydantic_message: str) -> str:
    """Put what pydantic says in our form: expected ..."""
    for pattern, replacement in _REWORDINGS:
        pydantic_message = re.sub(pattern, replacement, pydantic_message)
    return pydantic_message
