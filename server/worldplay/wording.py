"""Words errors: shows values, and names the field that is wrong in an input."""

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TypeGuard

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_SHOWN_CHARS = 40
_SHOWN_LINE = 160
_SHOWN_INTEGERS = 10**18  # printing a number of a million digits takes minutes
_SHORTENED = reprlib.Repr()
_SHORTENED.maxstring = _SHORTENED.maxother = _SHOWN_CHARS

_REWORDINGS = (
    (r"^[A-Z][a-z]+ should (be|have) ", "expected "),
    (r"greater than or equal to", "at least"),
    (r"less than or equal to", "at most"),
    (r",? after validation, not \d+$", ""),
    (r", unable to parse .*$", ""),
    (r"a valid bytes", "bytes"),
    (r"a valid (?=[aeio])", "an "),
    (r"a valid ", "a "),
)


@dataclass(frozen=True, slots=True)
class Notation:
    """The names that a format has for its kinds of values."""

    null: str
    map: str
    list: str


JSON = Notation(null="null", map="an object", list="an array")
MESSAGE_PACK = Notation(null="nil", map="a map", list="a list")


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong field of an input."""

    path: str  # names of the enclosing fields and of this one, with dots; empty: the whole input
    reason: str


def without_values(message: str) -> str:
    """Cut what came from an error, and leave what was expected: what came may be a secret."""
    return message.partition(", got ")[0]


def show(value: object, notation: Notation = JSON) -> str:
    """Show a value in a few words, however large it is."""
    match value:
        case None:
            return notation.null
        case bool():
            return str(value).lower()
        case int() if abs(value) >= _SHOWN_INTEGERS:
            return "a number"
        case bytes():
            return f"{len(value)} bytes"
        case Mapping():
            return f"{notation.map} of length {len(value)}"
        case Sequence() if not isinstance(value, str):
            return f"{notation.list} of length {len(value)}"
        case _:
            return _SHORTENED.repr(value)


def first_line(error: Exception) -> str:
    """Return the first line of a library's error; a long one ends after a word."""
    lines = str(error).strip().splitlines() or ["no message"]
    return shorten(lines[0], _SHOWN_LINE, placeholder=" ...")


def describe_error(error: Exception) -> str:
    """Describe a library's error, whose message alone may say too little."""
    return f"{type(error).__name__}: {first_line(error)}"


def show_name(name: str) -> str:
    """Show a name as it is; in quotes if it is long or could break a log line."""
    return name if name.isprintable() and len(name) <= _SHOWN_CHARS else show(name)


def find_fault(error: ValidationError, notation: Notation = JSON) -> Fault:
    """Describe the first fault that pydantic found: the field, what was expected and what was found."""
    first = error.errors(include_url=False)[0]
    return Fault(".".join(show_name(str(part)) for part in first["loc"]), _explain(first, notation))


def _explain(error: ErrorDetails, notation: Notation) -> str:
    got = show(error["input"], notation)
    match error["type"]:
        case "missing":
            return "expected this field, got none"
        case "extra_forbidden":
            return f"expected no such field, got {got}"
        case "json_invalid":
            return f"expected JSON: {error['ctx']['error']}"
        case "value_error":  # from a validator of our own, whose message is complete
            return str(error["ctx"]["error"])
        case "string_too_long":  # its beginning would not say how much is too much
            return f"{_reword(error['msg'])}, got {len(error['input'])}"
        case "model_type" | "dataclass_type" | "dict_type":
            return f"expected {notation.map}, got {got}"
        case "list_type" | "tuple_type":
            return f"expected {notation.list}, got {got}"
        case _:
            return f"{_reword(error['msg'])}, got {got}"


def _reword(pydantic_message: str) -> str:
    for pattern, replacement in _REWORDINGS:
        pydantic_message = re.sub(pattern, replacement, pydantic_message)
    return pydantic_message


def is_text(value: object) -> TypeGuard[str]:
    """Return whether this is text that UTF-8 can hold. Shells and JSON may bring lone surrogates."""
    return isinstance(value, str) and not any("\ud800" <= letter <= "\udfff" for letter in value)
