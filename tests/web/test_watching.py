"""Walks that others watch, over a real socket. Walkers are paused, and make a chunk when they are told to."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.raw_client import Message, RawClient, of
from support.raw_socket import message, upgrade
from support.serving import running, serving
from support.tiny_world import make_world
from worldplay.engine_setup import make_engine
from worldplay.settings import load_settings
from worldplay.web.address import listen
from worldplay.web.app import create_server
from worldplay.world.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def address(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = str(tmp_path_factory.mktemp("store"))
    with serving(world, store=store, resume_s=60.0, max_watchers_per_walk=3) as address:
        yield address


def is_news(**fields: Any) -> Callable[[Message], bool]:
    return lambda message: bool(message["type"] == "watchers" and fields.items() <= message.items())


def is_state(what: str) -> Callable[[Message], bool]:
    return lambda message: bool(message.get("what") == what)


class Walker:
    """Somebody who walks, and shares the walk."""

    def __init__(self, address: str, stack: ExitStack, fields: str = "watchers", **hello: Any) -> None:
        url = f"ws://{address}/ws?fields={fields}"
        self.client = stack.enter_context(RawClient(url, plays=False))
        self.welcome = self.client.hello(**hello)

    def begin(self, seed: int = 1) -> str:
        """Make a chunk, and pause. Returns: the token of the link."""
        self.client.start(seed=seed)
        self.client.send("pause")
        self.client.collect(is_state("paused"))
        self.step()
        return self.share()

    def share(self, **token: str) -> str:
        self.client.send("share", **token)
        link: str = self.client.recv_type("shared")["token"]
        return link

    def step(self) -> list[Message]:
        """Make a chunk. Returns: its frames."""
        self.client.send("step")
        chunk = self.client.recv_type("chunk")
        return [self.client.recv_type("media") for _ in range(chunk["frames"])]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def walk(address: str, stack: ExitStack) -> tuple[Walker, str]:
    walker = Walker(address, stack)
    return walker, walker.begin()


def watch(address: str, link: str, stack: ExitStack, **hello: Any) -> RawClient:
    """Come with a link, and read the chunk that is there: the walker is paused, so no other will come."""
    watcher = stack.enter_context(RawClient(f"ws://{address}/ws?fields=resume_in", plays=False))
    watcher.hello(watch=link, **hello)
    read_chunk(watcher)
    return watcher


def read_chunk(watcher: RawClient) -> None:
    """Read a chunk. A client that leaves frames closes slowly."""
    chunk = watcher.recv_type("chunk")
    assert watcher.recv_type("media")["key"]
    for _ in range(chunk["frames"] - 1):
        watcher.recv_type("media")


def refusal(address: str, link: str, stack: ExitStack, **hello: Any) -> tuple[str, str, int]:
    client = stack.enter_context(RawClient(f"ws://{address}/ws", plays=False))
    client.send("hello", protocol=1, watch=link, **hello)
    messages, code = client.wait_closed()
    return messages[-1]["code"], messages[-1]["message"], code


def test_watcher_sees_the_last_chunk_at_once_and_then_what_the_walker_sees(
    address: str, walk: tuple[Walker, str], stack: ExitStack
) -> None:
    walker, token = walk
    before = walker.step()
    watcher = stack.enter_context(RawClient(f"ws://{address}/ws", plays=False))
    watcher.hello(watch=token)
    seen = of("media", [watcher.recv() for _ in range(19)])
    assert [each["data"] for each in seen] == [each["data"] for each in before]
    after = walker.step()
    seen = [watcher.recv_type("media") for _ in after]
    assert [each["data"] for each in seen] == [each["data"] for each in after]


def test_welcome_of_a_watcher_tells_nothing_of_the_walk(
    address: str, walk: tuple[Walker, str], stack: ExitStack
) -> None:
    watcher = stack.enter_context(RawClient(f"ws://{address}/ws?fields=watchers,places", plays=False))
    welcome = watcher.hello(watch=walk[1])
    assert (welcome["session"], welcome["secret"], welcome["worlds"]) == ("", "", [])
    assert "places" not in welcome
    read_chunk(watcher)


def test_walker_is_told_how_many_watch(address: str, walk: tuple[Walker, str], stack: ExitStack) -> None:
    walker, token = walk
    assert walker.welcome["watchers"] == 3
    watcher = watch(address, token, stack)
    watch(address, token, stack)
    news = walker.client.collect(is_news(count=2))[-1]
    assert "walker" not in news
    watcher.close()
    walker.client.collect(is_news(count=1))


def test_walker_that_does_not_know_of_watchers_is_told_nothing(address: str, stack: ExitStack) -> None:
    walker = Walker(address, stack, fields="")
    watcher = watch(address, walker.begin(), stack)
    watcher.collect(is_news(count=1, walker="paused"))
    walker.client.send("ping", t=1.0)
    assert not of("watchers", walker.client.collect(lambda message: message["type"] == "pong"))
    assert "watchers" not in walker.welcome


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("controls", {"seq": 0, "t": 0.0, "keys": ["w"], "look": {"yaw": 0.0, "pitch": 0.0}}),
        ("start", {}),
        ("resume", {}),
        ("unshare", {}),
    ],
)
def test_watcher_cannot_steer(
    address: str, walk: tuple[Walker, str], stack: ExitStack, kind: str, fields: dict[str, Any]
) -> None:
    watcher = watch(address, walk[1], stack)
    watcher.send(kind, **fields)
    messages, code = watcher.wait_closed()
    assert (messages[-1]["code"], code) == ("bad_order", 1002)
    assert walk[0].step()


def test_watcher_may_ping_and_leave(address: str, walk: tuple[Walker, str], stack: ExitStack) -> None:
    watcher = watch(address, walk[1], stack)
    watcher.send("ping", t=5.0)
    assert watcher.recv_type("pong")["t"] == 5.0
    watcher.send("stop")
    messages, code = watcher.wait_closed()
    assert (messages[-1]["type"], code) == ("bye", 1000)
    assert walk[0].step()


def test_revoked_link_ends_for_those_who_watch_and_for_all(
    address: str, walk: tuple[Walker, str], stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    walker, token = walk
    with caplog.at_level(logging.DEBUG):
        watcher = watch(address, token, stack)
        walker.client.send("unshare")
        assert "token" not in walker.client.recv_type("shared")
        messages, code = watcher.wait_closed()
        assert (messages[-1], code) == ({"type": "bye", "reason": "the walk is no longer shared"}, 1000)
        revoked = refusal(address, token, stack)
        assert revoked == refusal(address, "guessed", stack)
        assert (revoked[0], revoked[2]) == ("not_found", 1008)
    assert token not in caplog.text
    assert walker.share() != token


def test_too_many_watchers_are_refused(address: str, walk: tuple[Walker, str], stack: ExitStack) -> None:
    for _ in range(3):
        watch(address, walk[1], stack)
    code, _, close = refusal(address, walk[1], stack)
    assert (code, close) == ("busy", 1013)


def test_watchers_of_two_walks_see_their_own(address: str, stack: ExitStack) -> None:
    walkers = [Walker(address, stack) for _ in range(2)]
    watchers = [watch(address, walker.begin(seed), stack) for seed, walker in enumerate(walkers)]
    for walker, watcher, other in zip(walkers, watchers, reversed(watchers), strict=True):
        made = [each["data"] for each in walker.step()]
        assert [watcher.recv_type("media")["data"] for _ in made] == made
        other.send("ping", t=1.0)
        between = other.collect(lambda message: message["type"] == "pong")
        assert not {each["data"] for each in of("media", between)} & set(made)


def test_watcher_stays_while_the_walker_comes_back(address: str, stack: ExitStack) -> None:
    with ExitStack() as lost:
        walker = Walker(address, lost)
        watcher = watch(address, walker.begin(), stack)
    watcher.collect(is_news(walker="away"))
    resume = {"session": walker.welcome["session"], "secret": walker.welcome["secret"], "fragment": 12}
    walker = Walker(address, stack, resume=resume)
    assert walker.client.recv_type("watchers")["count"] == 1
    messages = watcher.collect(is_news(walker="paused"))
    walker.step()
    messages += [watcher.recv_type("media") for _ in range(16)]
    walker.client.send("stop")
    ending, code = watcher.wait_closed()
    assert not of("init", messages)
    assert (ending[-1], code) == ({"type": "bye", "reason": "the walk has ended"}, 1000)


def test_watcher_stays_while_the_walk_comes_back_from_the_store(
    world: World, tmp_path: Path, stack: ExitStack
) -> None:
    """Somebody else had the walker's place meanwhile."""
    settings = {"store": str(tmp_path), "resume_s": 60.0, "max_sessions": 1, "max_queued": 0}
    address = stack.enter_context(serving(world, **settings))
    with ExitStack() as lost:
        walker = Walker(address, lost)
        watcher = watch(address, walker.begin(), stack)
    other = Walker(address, stack)
    other.begin()
    other.client.send("stop")
    other.client.wait_closed()
    resume = {"session": walker.welcome["session"], "secret": walker.welcome["secret"], "fragment": 12}
    walker = Walker(address, stack, resume=resume)
    assert walker.client.recv_type("watchers")["count"] == 1
    watcher.collect(is_news(walker="walking"))
    messages = watcher.collect(lambda message: message["type"] == "media" and message["frame"] > 24)
    walker.client.send("stop")
    walker.client.wait_closed()
    messages += watcher.wait_closed()[0]
    numbers = [each["frame"] for each in of("media", messages)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_watchers_are_told_that_the_walkers_page_is_hidden(
    address: str, walk: tuple[Walker, str], stack: ExitStack
) -> None:
    walker, token = walk
    watcher = watch(address, token, stack)
    for is_hidden, what in ((True, "away"), (False, "paused")):
        walker.client.send("playhead", shown=0.1, buffered=0.0, stalled=0, hidden=is_hidden)
        watcher.collect(is_news(walker=what))


def test_another_start_and_a_rewind_reach_the_watcher(
    address: str, walk: tuple[Walker, str], stack: ExitStack
) -> None:
    walker, token = walk
    watcher = watch(address, token, stack)
    walker.client.send("rewind", chunk=0)
    walker.step()
    walker.begin(seed=2)
    messages = watcher.collect(lambda message: message["type"] == "init")
    messages += watcher.collect(lambda message: message["type"] == "chunk")
    messages += [watcher.recv_type("media") for _ in range(13)]
    chunks, numbers = of("chunk", messages), [each["frame"] for each in of("media", messages)]
    assert (chunks[0]["index"], chunks[-1]["index"]) == (0, 0)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_watchers_see_the_walk_again_after_a_restart(world: World, tmp_path: Path) -> None:
    with ExitStack() as server, ExitStack() as lost:
        address = server.enter_context(serving(world, store=str(tmp_path), resume_s=60.0))
        walker = Walker(address, lost)
        token = walker.begin()
        watcher = watch(address, token, lost)
        server.close()
        messages, code = watcher.wait_closed()
    assert (messages[-1]["reason"], messages[-1]["resume_in"], code) == ("the server is stopping", 5.0, 1012)
    resume = {"session": walker.welcome["session"], "secret": walker.welcome["secret"], "fragment": 12}
    with serving(world, store=str(tmp_path), resume_s=60.0) as address, ExitStack() as stack:
        assert refusal(address, token, stack)[0] == "not_found"
        walker = Walker(address, stack, resume=resume)
        assert walker.share(token=token) == token
        watcher = stack.enter_context(RawClient(f"ws://{address}/ws", plays=False))
        watcher.hello(watch=token)
        watcher.recv_type("media")


@contextmanager
def serving_with_small_buffers(world: World) -> Iterator[str]:
    """A server that notices soon that a client does not read."""
    settings = load_settings(port=0, store="none", send_timeout_s=1.0)
    listening = listen(settings.host, settings.port)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with running(create_server(settings, world, make_engine(settings, world)), listening) as address:
        yield address


def test_watcher_that_reads_nothing_hurts_nobody_and_is_given_up(world: World, stack: ExitStack) -> None:
    address = stack.enter_context(serving_with_small_buffers(world))
    walker = Walker(address, stack)
    token = walker.begin()
    stuck = upgrade(address)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(message("hello", protocol=1, watch=token))
    walker.client.collect(is_news(count=1))
    walker.client.send("resume")
    walk_fast(walker.client, is_news(count=0))
    stuck.close()
    walker.client.send("stop")


def walk_fast(client: RawClient, until: Callable[[Message], bool]) -> None:
    """Show every frame when it comes, and say so now and then: faster than any video is played."""
    while not until(message := client.recv()):
        if message["type"] == "media" and message["frame"] % 4 == 0:
            shown = message["time"] + message["duration"]
            client.send("playhead", shown=shown, buffered=0.0, stalled=0, hidden=False)


def test_watching_needs_the_servers_token(world: World, stack: ExitStack) -> None:
    address = stack.enter_context(serving(world, token="t", max_sessions=1, max_queued=0))
    link = Walker(address, stack, token="t").begin()
    assert refusal(address, link, stack)[0] == "unauthorized"
    watch(address, link, stack, token="t")
    answer = httpx.get(f"http://{address}/api/sessions", headers={"Authorization": "Bearer t"})
    assert sorted(session["state"] for session in answer.json()["sessions"]) == ["paused", "watching"]


def test_nobody_can_share_where_nobody_may_watch(world: World, stack: ExitStack) -> None:
    address = stack.enter_context(serving(world, max_watchers=0))
    walker = Walker(address, stack)
    walker.client.start(seed=1)
    walker.client.send("share")
    error = walker.client.collect(lambda message: message["type"] == "error")[-1]
    assert (error["code"], walker.welcome["watchers"]) == ("bad_request", 0)
