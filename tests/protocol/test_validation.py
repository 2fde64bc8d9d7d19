"""What is said of a field at fault."""

import pytest

from worldplay.protocol.errors import ProtocolError
from worldplay.protocol.messages import Ping
from worldplay.protocol.validation import validate


def test_a_name_that_would_break_a_line_is_quoted() -> None:
    with pytest.raises(ProtocolError) as refused:
        validate(Ping, {"type": "ping", "t": 1.0, "a\n2026-01-01 ERROR fake": 1})
    assert refused.value.message == r"ping.'a\n2026-01-01 ERROR fake': expected no such field, got 1"
