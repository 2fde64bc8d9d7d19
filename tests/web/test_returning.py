"""For whom a server that starts keeps places: not for those who walk on another one with the same store."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from worldplay.store.about import About, State
from worldplay.store.files import Files
from worldplay.store.keeper import SIGN_EVERY_S
from worldplay.store.store import Store
from worldplay.web.returning import LOOK_EVERY_S, LOOK_FOR_S, Returning

RESUME_S = 60.0
BEGAN_S = 1_000_000_000.0


class Place:
    """A store with walks, and a server that started at BEGAN_S with so many slots."""

    max_sessions = 2

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(Files(str(folder)), 10**6, 3600.0)
        self.returning = Returning(self.store, self, BEGAN_S, RESUME_S, 20.0)
        self.reserved: list[str] = []

    def reserve(self, addresses: Mapping[str, str], seconds: float) -> None:
        assert set(addresses.values()) == {"a hash"}
        self.reserved = list(addresses)

    def exchange_reserved(self, names: Iterable[str], others: Mapping[str, str]) -> None:
        given_up = [name for name in names if name in self.reserved]
        self.reserved = [name for name in self.reserved if name not in given_up]
        self.reserved += list(others)[: len(given_up)]

    def walk(self, name: str, age_s: float, state: State = "walking") -> str:
        """A walk gives a sign of life so long before the server began."""
        id = name.ljust(16, "-")
        if not self.store.has(id):
            self.store.create(id, About(kind="live", key="", address="a hash", state=state))
        os.utime(self.folder / id / "about.json", (BEGAN_S - age_s,) * 2)
        return id

    def expect(self) -> list[str]:
        asyncio.run(self.returning.expect())
        return self.reserved

    def look_again(self) -> list[str]:
        asyncio.run(self.returning.look_again())
        return self.reserved


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_places_are_kept_for_who_walked_and_has_given_no_sign_since(place: Place) -> None:
    one = place.walk("one", 1.0)
    place.walk("elsewhere", -0.5)
    place.walk("queued", 1.0, "waiting")
    place.walk("gone", 1.0, "left")
    place.walk("too late", RESUME_S + SIGN_EVERY_S + 1.0)
    assert place.expect() == [one]
    assert place.look_again() == [one]


def test_who_gives_a_sign_meanwhile_walks_elsewhere_and_the_next_is_expected(place: Place) -> None:
    paused, other, one, two = (place.walk(name, age) for age, name in enumerate("abcd", 1))
    assert place.expect() == [paused, other]
    place.walk("a", -5.0)
    assert place.look_again() == [other, one]
    place.walk("b", -6.0)
    place.walk("d", -6.0)
    assert place.look_again() == [one]
    assert place.look_again() == [one]
    place.store.delete(one)
    assert place.look_again() == []
    assert two


def test_store_that_fails_keeps_no_place_and_stops_no_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = place.walk("one", 1.0)

    def fail(*arguments: object) -> None:
        raise RuntimeError("a file system of another kind")

    with monkeypatch.context() as context:
        context.setattr(place.store, "find_walking", fail)
        assert place.expect() == []
    assert place.expect() == [one]
    monkeypatch.setattr(place.store, "find_changed", fail)
    assert place.look_again() == [one]


@pytest.mark.parametrize(("resume_s", "return_s"), [(0.0, 20.0), (60.0, 0.0)])
def test_no_place_is_kept_if_nobody_can_come_back(place: Place, resume_s: float, return_s: float) -> None:
    place.walk("one", 1.0)
    place.returning = Returning(place.store, place, BEGAN_S, resume_s, return_s)
    assert place.expect() == []


def test_every_walk_of_a_running_server_gives_a_sign_while_the_server_looks(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def pass_time(time_s: float) -> None:
        slept.append(time_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pass_time)
    place.returning = Returning(place.store, place, BEGAN_S, RESUME_S, 600.0)
    place.walk("one", 1.0)
    place.expect()
    asyncio.run(place.returning._keep_looking())
    assert SIGN_EVERY_S < sum(slept) <= LOOK_FOR_S
    assert set(slept) == {LOOK_EVERY_S}
