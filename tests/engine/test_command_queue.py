"""Commands that wait: their order, what the newest makes useless, and when the first may be begun."""

from worldplay.engine.command_queue import MAX_COMMANDS, CommandQueue
from worldplay.engine.session_commands import Command, Prepare, Prompt, Rest, Rewind


def take_all(queue: CommandQueue) -> list[Command | None]:
    return [queue.take(9.0) for _ in range(len(queue))]


def test_commands_are_taken_in_order() -> None:
    queue = CommandQueue()
    queue.add(Prompt("snow"), 1.0)
    queue.add_rest(2.0)
    queue.add_prepare(3.0)
    assert take_all(queue) == [Prepare(), Prompt("snow"), Rest()]
    assert queue.take(9.0) is None


def test_only_a_newest_prompt_is_dropped() -> None:
    queue = CommandQueue()
    queue.add(Prompt("snow"), 1.0)
    queue.add(Rewind(2, "rewound"), 2.0)
    queue.drop_newest_prompt()
    assert len(queue) == 2
    queue.add(Prompt("rain"), 3.0)
    queue.add_rest(4.0)
    queue.drop_newest_prompt()
    assert take_all(queue) == [Prompt("snow"), Rewind(2, "rewound"), Rest()]


def test_walk_is_saved_once_however_often_its_client_leaves() -> None:
    queue = CommandQueue()
    queue.add_rest(1.0)
    queue.add(Prompt("snow"), 2.0)
    for _ in range(100):
        queue.add_rest(3.0)
        queue.add_prepare(3.0)
    assert take_all(queue) == [Prepare(), Prompt("snow"), Rest()]


def test_another_start_leaves_what_the_walk_needs() -> None:
    """The start may be refused: then the walk of before goes on."""
    queue = CommandQueue()
    queue.add(Prompt("snow"), 1.0)
    queue.add_rest(2.0)
    queue.add_prepare(3.0)
    queue.drop_requests()
    assert take_all(queue) == [Prepare(), Rest()]


def test_shortest_walk_counts_among_rewinds() -> None:
    queue = CommandQueue()
    assert (queue.num_staying, queue.has_change) == (None, False)
    queue.add(Rewind(2, "rewound"), 1.0)
    queue.add(Rewind(5, "rewound"), 1.0)
    assert (queue.num_staying, queue.has_change, queue.is_rewind_next) == (2, True, True)


def test_next_command_waits_three_times_as_long_as_the_last_took() -> None:
    queue = CommandQueue()
    queue.add(Prompt("snow"), 0.0)
    queue.add(Prompt("rain"), 0.0)
    queue.take(100.0)
    queue.mark_done(110.0)
    assert queue.due_ms == 140.0
    queue.take(200.0)
    queue.mark_done(9200.0)
    queue.add(Prompt("sun"), 9300.0)
    assert queue.due_ms == 11_200.0  # but no longer than two seconds


def test_queue_is_full_at_its_limit_of_requests() -> None:
    queue = CommandQueue()
    queue.add_rest(0.0)
    queue.add_prepare(0.0)
    for _ in range(MAX_COMMANDS):
        assert not queue.is_full
        queue.add(Rewind(1, "rewound"), 0.0)
    assert queue.is_full
