from dataclasses import replace

from worldplay.engine.deadline import Run, Task, Wait, decide, latest_start


def task(
    session: int,
    dry_ms: float,
    lead_ms: float = 100.0,
    context_ms: float = 0.0,
    tail_ms: float = 50.0,
    served_ms: float = 0.0,
) -> Task:
    return Task(session, dry_ms, dry_ms - lead_ms, context_ms, tail_ms, served_ms)


def test_nothing_to_do_waits_for_something_to_happen() -> None:
    assert decide([], None, 0) == Wait(None)


def test_lone_job_waits_until_its_context_pass_must_begin() -> None:
    assert decide([task(1, 500, lead_ms=100, context_ms=80)], None, 0) == Wait(320)
    assert decide([task(1, 500, lead_ms=100, context_ms=80)], None, 320) == Run(1)


def test_ready_context_waits_for_the_latch() -> None:
    assert decide([task(1, 500, lead_ms=100, context_ms=80)], 1, 330) == Wait(400)
    assert decide([task(1, 500, lead_ms=100, context_ms=80)], 1, 400) == Run(1)


def test_earliest_deadline_goes_first() -> None:
    tasks = [task(1, 130), task(2, 110), task(3, 120)]
    assert decide(tasks, None, 100) == Run(2)


def test_order_of_three_dry_pages_is_by_who_waited_longest() -> None:
    tasks = [task(1, 100, served_ms=30), task(2, 90, served_ms=20), task(3, 80, served_ms=40)]
    assert decide(tasks, None, 100) == Run(2)


def test_first_job_starts_early_enough_for_the_one_behind_it() -> None:
    tasks = [task(1, 500, lead_ms=100, tail_ms=50), task(2, 510, lead_ms=100, tail_ms=50)]
    assert decide(tasks, None, 0) == Wait(360)


def test_wish_of_a_later_task_does_not_move_the_first_one_forward() -> None:
    wishing = replace(task(2, 510, lead_ms=400), wish_ms=300)
    assert decide([task(1, 500, lead_ms=100), wishing], None, 0) == Wait(110)  # when the wish could be met
    assert latest_start([task(1, 500, lead_ms=100), wishing], None, wishing=1) == 360
    assert latest_start([task(1, 500, lead_ms=100), wishing], None, wishing=2) == 60


def test_urgent_newcomer_takes_the_place_of_a_ready_context() -> None:
    tasks = [task(1, 500, context_ms=80), task(2, 150, lead_ms=100)]
    assert decide(tasks, 1, 100) == Run(2)


def test_later_deadline_that_is_due_runs_before_the_first_if_it_fits() -> None:
    opening = Task(2, deadline_ms=600, latch_by_ms=100, context_ms=0, tail_ms=150, served_ms=0)
    assert decide([task(1, 500, lead_ms=100), opening], None, 100) == Run(2)


def test_later_deadline_that_does_not_fit_runs_after_the_first() -> None:
    opening = Task(2, deadline_ms=600, latch_by_ms=100, context_ms=0, tail_ms=350, served_ms=0)
    assert decide([task(1, 500, lead_ms=100), opening], None, 100) == Run(1)


def test_what_fits_counts_the_context_that_would_be_lost() -> None:
    opening = Task(2, deadline_ms=600, latch_by_ms=100, context_ms=0, tail_ms=150, served_ms=0)
    walker = task(1, 500, lead_ms=100, context_ms=200)
    assert decide([walker, opening], 1, 100) == Run(1)
