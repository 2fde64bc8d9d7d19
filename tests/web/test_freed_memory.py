"""Memory that sessions have freed goes back to the system now and then."""

import asyncio

from worldplay.web.freed_memory import EVERY_TICKS, FreedMemory


async def count_releases(ended: list[int]) -> int:
    """Return how often memory was returned, with so many sessions that had ended at each minute."""
    num_released = 0

    def release() -> None:
        nonlocal num_released
        num_released += 1

    minutes = iter(ended)
    memory = FreedMemory(lambda: next(minutes), release)
    for _ in range(EVERY_TICKS * len(ended)):
        memory.tick()
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})
    return num_released


async def test_memory_is_returned_once_a_minute_if_sessions_ended() -> None:
    assert await count_releases([0, 0, 0]) == 0
    assert await count_releases([0, 3, 3, 5]) == 2
