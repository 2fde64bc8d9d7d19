"""Remembering results, the latest ones only."""

from worldplay.world.recent import Recent


def test_computes_once() -> None:
    recent: Recent[list[int]] = Recent(2)
    first = recent.get("a", lambda: [1])
    assert recent.get("a", lambda: [2]) is first


def test_forgets_what_was_unused_for_longest() -> None:
    recent: Recent[int] = Recent(2)
    for key in ("a", "b", "a", "c"):
        recent.get(key, lambda: 1)
    assert recent.get("a", lambda: 2) == 1
    assert recent.get("b", lambda: 2) == 2


def test_failure_is_not_remembered() -> None:
    recent: Recent[float] = Recent(2)
    try:
        recent.get("a", lambda: 1 / 0)
    except ZeroDivisionError:
        assert recent.get("a", lambda: 3.0) == 3.0
