"""How values are shown, and how what pydantic finds wrong is told."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from worldplay.wording import (
    JSON,
    MESSAGE_PACK,
    Fault,
    Notation,
    describe_error,
    find_fault,
    first_line,
    show,
    show_name,
)


@pytest.mark.parametrize(
    ("value", "notation", "shown"),
    [
        (None, JSON, "null"),
        (None, MESSAGE_PACK, "nil"),
        (True, JSON, "true"),
        (61.5, JSON, "61.5"),
        (float("nan"), JSON, "nan"),
        (2**53, JSON, "9007199254740992"),
        pytest.param(10**6000, JSON, "a number", id="huge"),
        pytest.param(-(10**6000), MESSAGE_PACK, "a number", id="hugely negative"),
        ("a\nb", JSON, r"'a\nb'"),
        ("\ud800", JSON, r"'\ud800'"),
        (b"123", MESSAGE_PACK, "3 bytes"),
        ({"a": 1}, JSON, "an object of length 1"),
        ({"a": 1}, MESSAGE_PACK, "a map of length 1"),
        ([[0] * 6] * 6, JSON, "an array of length 6"),
        ((), MESSAGE_PACK, "a list of length 0"),
    ],
)
def test_values_are_shown_in_the_words_of_their_format(value: object, notation: Notation, shown: str) -> None:
    assert show(value, notation) == shown


@pytest.mark.parametrize("value", ["x" * 10**6, "\n" * 10**6, [[[[[["x" * 9] * 9] * 9] * 9] * 9] * 9] * 9])
def test_long_values_are_cut_short(value: object) -> None:
    assert len(show(value)) < 100


@pytest.mark.parametrize(
    ("name", "shown"),
    [("height", "height"), ("größe", "größe"), ("a\rb", r"'a\rb'"), ("\x1b[2J", r"'\x1b[2J'"), ("", "")],
)
def test_names_that_would_break_a_line_are_quoted(name: str, shown: str) -> None:
    assert show_name(name) == shown


class Part(BaseModel):
    model_config = ConfigDict(strict=True)

    sides: Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=2)] = []


class Thing(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    name: Annotated[str, Field(max_length=3)] = ""
    data: bytes = b""
    is_on: bool = False
    size: int = 0
    kind: Literal["a", "b"] = "a"
    part: Part = Part()

    @field_validator("size")
    @classmethod
    def _check_even(cls, size: int) -> int:
        if size % 2:
            raise ValueError(f"expected an even size, got {size}")
        return size


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"name": 3}, "name", "expected a string, got 3"),
        ({"name": "long"}, "name", "expected at most 3 characters, got 4"),
        ({"data": "x"}, "data", "expected bytes, got 'x'"),
        ({"is_on": 1}, "is_on", "expected a boolean, got 1"),
        ({"size": None}, "size", "expected an integer, got nil"),
        ({"size": 3}, "size", "expected an even size, got 3"),
        ({"kind": "c"}, "kind", "expected 'a' or 'b', got 'c'"),
        ({"part": 3}, "part", "expected a map, got 3"),
        ({"part": {"sides": {}}}, "part.sides", "expected a list, got a map of length 0"),
        ({"part": {"sides": [1, 0]}}, "part.sides.1", "expected at least 1, got 0"),
        ({"part": {"sides": [1] * 3}}, "part.sides", "expected at most 2 items, got a list of length 3"),
        ({"a\nb": 1}, r"'a\nb'", "expected no such field, got 1"),
        ([], "", "expected a map, got a list of length 0"),
    ],
)
def test_first_fault_says_where_and_what(value: object, path: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate(value)
    assert find_fault(caught.value, MESSAGE_PACK) == Fault(path, reason)


def test_text_that_is_no_number_is_told_in_one_breath() -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate({"size": "x"}, strict=False)
    assert find_fault(caught.value) == Fault("size", "expected an integer, got 'x'")


def test_text_that_is_no_json_is_told_where() -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate_json("{")
    assert find_fault(caught.value).reason == "expected JSON: EOF while parsing an object at line 1 column 1"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(""), "no message"),
        (ValueError("\n one \ntwo"), "one"),
        (ValueError("word " * 100), "word " * 31 + "..."),
    ],
)
def test_first_line_of_an_error_ends_after_a_word(error: Exception, said: str) -> None:
    assert first_line(error) == said


def test_described_error_begins_with_its_kind() -> None:
    assert describe_error(RuntimeError("no kernel\nat 0x0")) == "RuntimeError: no kernel"
