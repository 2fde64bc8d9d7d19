"""What is said of a message or a field at fault."""

import pytest

from worldplay.protocol.errors import ErrorCode, ProtocolError
from worldplay.protocol.messages import Ping, Pong, State
from worldplay.protocol.validation import find_class, validate


def test_a_name_that_would_break_a_line_is_quoted() -> None:
    with pytest.raises(ProtocolError) as refused:
        validate(Ping, {"type": "ping", "t": 1.0, "a\n2026-01-01 ERROR fake": 1})
    assert refused.value.message == r"ping.'a\n2026-01-01 ERROR fake': expected no such field, got 1"


def test_a_suggestion_has_a_short_title() -> None:
    state = {"type": "state", "what": "prompt", "taken_as": "x" * 201}
    with pytest.raises(ProtocolError) as refused:
        validate(State, state)
    assert refused.value.message == "state.taken_as: expected at most 200 characters, got 201"


def test_a_message_of_no_known_type_is_told_which_there_are() -> None:
    known: dict[str, type[Ping | Pong]] = {"ping": Ping, "pong": Pong}
    with pytest.raises(ProtocolError) as refused:
        find_class(known, "state")
    assert refused.value.code is ErrorCode.UNKNOWN_TYPE
    assert refused.value.message == "expected one of ping, pong, got 'state'"
