from worldplay.engine.cut_budget import CutBudget


def count(num_wishes_a_second: int, *, is_look: bool) -> int:
    """Count the cuts of ten seconds of wishes, with a latch every 667 ms."""
    budget, num_cuts, latched_ms = CutBudget(), 0, 0.0
    for number in range(10 * num_wishes_a_second):
        now_ms = 1000.0 * number / num_wishes_a_second
        latched_ms = max(latched_ms, now_ms // 667 * 667)
        if budget.allows(now_ms, latched_ms, is_look=is_look):
            budget.spend(now_ms)
            num_cuts, latched_ms = num_cuts + 1, now_ms
    return num_cuts


def test_mouse_that_moves_all_the_time_cuts_each_chunk_once() -> None:
    assert count(60, is_look=True) == 15


def test_keys_may_cut_more_often_but_not_without_end() -> None:
    assert count(1, is_look=False) == 10
    assert count(60, is_look=False) == 25


def test_looks_leave_a_cut_for_keys() -> None:
    budget = CutBudget()
    budget.spend(10_000)
    budget.spend(10_000)
    assert not budget.allows(10_000, 0, is_look=True)
    assert budget.allows(10_000, 0, is_look=False)
