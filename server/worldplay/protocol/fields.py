"""The types of the fields of messages, and the base class of all messages."""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

MAX_INT = 2**53 - 1  # the largest integer that JavaScript holds exactly
MAX_LENGTH = 1e6  # of a pose, in world units: beyond any walk, and still exact enough in float32
FULL_TURN = 6.2832

T = TypeVar("T")
# Frozen messages hold tuples; MessagePack and callers may pass lists.
Items: TypeAlias = Annotated[tuple[T, ...], Strict(False)]
Size: TypeAlias = Annotated[
    tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]], Strict(False)
]
Count: TypeAlias = Annotated[int, Field(ge=0, le=MAX_INT)]
Clock: TypeAlias = Annotated[float, Field(ge=-MAX_INT, le=MAX_INT)]
MediaTime: TypeAlias = Annotated[float, Field(ge=0, le=1e9)]
Turn: TypeAlias = Annotated[float, Field(ge=-FULL_TURN, le=FULL_TURN)]
Length: TypeAlias = Annotated[float, Field(ge=-MAX_LENGTH, le=MAX_LENGTH)]
Name: TypeAlias = Annotated[str, Field(max_length=512)]
OwnerKey: TypeAlias = Annotated[str, Field(min_length=16, max_length=512)]
Key: TypeAlias = Literal["w", "s", "a", "d", "up", "down", "left", "right"]


def _flatten_rows(value: object) -> object:
    """Flatten a square list of lists to one tuple; return anything else for validation."""
    if not isinstance(value, list | tuple):
        return value
    if all(isinstance(row, list | tuple) and len(row) == len(value) for row in value):
        return tuple(number for row in value for number in row)
    return value


def _refuse_repeats(keys: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(keys)) != len(keys):
        raise ValueError(f"expected distinct keys, got {list(keys)}")
    return keys


Pose: TypeAlias = Annotated[
    Items[Length], Field(min_length=16, max_length=16), BeforeValidator(_flatten_rows)
]
Intrinsics: TypeAlias = Annotated[
    Items[Length], Field(min_length=9, max_length=9), BeforeValidator(_flatten_rows)
]
Keys: TypeAlias = Annotated[Items[Key], AfterValidator(_refuse_repeats)]
StateName: TypeAlias = Literal[
    "paused",
    "resumed",
    "prompt",
    "rewound",
    "reset",
    "bump",
    "view",
    "idle",
    "yielded",
    "seated",
    "recording_ended",
    "unsaved",
    "saved",
]


class Record(BaseModel):
    """A map with exactly these fields. Fields that default to None are optional; `to_map` omits them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    def to_map(self) -> dict[str, Any]:
        fields = type(self).model_fields
        return {
            name: value
            for name, value in self.__dict__.items()
            if value is not None or fields[name].is_required()
        }
