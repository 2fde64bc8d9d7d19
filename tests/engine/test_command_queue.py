"""Commands that wait: their order, what the newest makes useless, and when the first may be begun."""

from worldplay.engine.command_queue import MAX_COMMANDS, CommandQueue
from worldplay.engine.session_commands import Prepare, Prompt, Rest, Rewind


def test_commands_are_taken_in_order() -> None:
    queue = CommandQueue()
    queue.add(Prompt("snow"), 1.0)
    queue.add(Rest(), 2.0)
    queue.add_first(Prepare(), 3.0)
    assert [queue.take(4.0) for _ in range(4)] == [Prepare(), Prompt("snow"), Rest(), None]


def test_only_a_newest_prompt_is_dropped() -> None:
    queue = CommandQueue()
    queue.add(Prompt("snow"), 1.0)
    queue.add(Rest(), 2.0)
    queue.drop_newest_prompt()
    assert len(queue) == 2
    queue.add(Prompt("rain"), 3.0)
    queue.drop_newest_prompt()
    assert [queue.take(4.0) for _ in range(2)] == [Prompt("snow"), Rest()]


def test_shortest_walk_counts_among_rewinds() -> None:
    queue = CommandQueue()
    assert (queue.num_staying, queue.has_change) == (None, False)
    queue.add(Rewind(2, "rewound"), 1.0)
    queue.add(Rewind(5, "rewound"), 1.0)
    assert (queue.num_staying, queue.has_change, queue.is_rewind_next) == (2, True, True)


def test_next_command_waits_three_times_as_long_as_the_last_took() -> None:
    queue = CommandQueue()
    queue.add(Rest(), 0.0)
    queue.add(Rest(), 0.0)
    queue.take(100.0)
    queue.mark_done(110.0)
    assert queue.due_ms == 140.0
    queue.take(200.0)
    queue.mark_done(9200.0)
    queue.add(Rest(), 9300.0)
    assert queue.due_ms == 11_200.0  # but no longer than two seconds


def test_queue_is_full_at_its_limit() -> None:
    queue = CommandQueue()
    for _ in range(MAX_COMMANDS):
        assert not queue.is_full
        queue.add(Rest(), 0.0)
    assert queue.is_full
