"""Validates maps as messages. An error names the first field at fault."""

from typing import Any, TypeVar

from pydantic import ValidationError

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.fields import Record
from worldplay.wording import MESSAGE_PACK, find_fault, show

M = TypeVar("M", bound=Record)


def find_class(classes: dict[str, type[M]], kind: str) -> type[M]:
    """Find a type's class. Raises: ProtocolError (unknown_type)."""
    if kind not in classes:
        known = ", ".join(classes)
        raise ProtocolError(ErrorCode.UNKNOWN_TYPE, f"expected one of {known}, got {show(kind)}")
    return classes[kind]


def validate(cls: type[M], fields: dict[str, Any], *, ignore_unknown: bool = False) -> M:
    """Make a message of a map. Raises: ProtocolError (bad_field) about the first field at fault."""
    try:
        return cls.model_validate(fields, extra="ignore" if ignore_unknown else "forbid")
    except ValidationError as error:
        fault = find_fault(error, MESSAGE_PACK)
        where = ".".join(filter(None, (fields["type"], fault.path)))
        raise ProtocolError(ErrorCode.BAD_FIELD, f"{where}: {fault.reason}") from error
