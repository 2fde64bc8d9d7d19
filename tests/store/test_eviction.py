"""What the store removes, of walks that are only described."""

from dataclasses import replace

from worldplay.store.eviction import StoredWalk, find_expired, find_room, find_surplus, find_walking

LEFT = StoredWalk("walk", 10, 0.0, 100.0, is_bookmark=False, is_live=False, address="stranger")


def left(id: str, changed_s: float, address: str = "stranger", num_bytes: int = 10) -> StoredWalk:
    return replace(LEFT, id=id, changed_s=changed_s, address=address, num_bytes=num_bytes)


def ids(walks: object) -> list[str]:
    return [walk.id for walk in walks]  # type: ignore[attr-defined]


def test_live_walk_and_bookmark_never_make_room() -> None:
    walks = [replace(LEFT, is_live=True), replace(LEFT, is_bookmark=True)]
    assert ids(find_room(walks, 100, 10)) == []
    assert find_surplus(walks, "stranger", 0) == []


def test_walk_that_expires_next_makes_room_first() -> None:
    walks = [left("c", 3.0, "c"), left("a", 1.0, "a"), left("b", 2.0, "b")]
    assert ids(find_room(walks, 11, 1000)) == ["a", "b"]
    assert ids(find_room(walks, 0, 1000)) == []


def test_address_that_left_much_makes_room_before_older_walks_of_others() -> None:
    walks = [left("old", 1.0, "other"), *(left(f"new{number}", 5.0 + number) for number in range(4))]
    assert ids(find_room(walks, 10, 100)) == ["new0"]
    assert ids(find_room(walks, 40, 100)) == ["new0", "new1", "old", "new2"]


def test_oldest_of_an_address_goes_if_it_left_more_than_allowed() -> None:
    walks = [left("old", 1.0, "other"), left("b", 3.0), left("a", 2.0), left("c", 4.0)]
    assert ids(find_surplus(walks, "stranger", 2)) == ["a"]
    assert ids(find_surplus(walks, "stranger", 3)) == []


def test_what_is_live_does_not_expire() -> None:
    walks = [LEFT, replace(LEFT, id="live", is_live=True)]
    assert ids(find_expired(walks, 100.0)) == []
    assert ids(find_expired(walks, 100.1)) == ["walk"]


def test_latest_walkers_may_come_back() -> None:
    walks = [
        replace(LEFT, id=f"walk{number}", changed_s=float(number), is_walking=True) for number in range(4)
    ]
    assert ids(find_walking([*walks, LEFT], 1.0, 9.0)) == ["walk3", "walk2", "walk1"]
    assert ids(find_walking(walks, 0.0, 3.0)) == ["walk2", "walk1", "walk0"]
