"""Links by which others watch: tokens that nobody can guess, and what they open."""

from base64 import urlsafe_b64decode
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from support.sent import welcome
from worldplay.protocol.errors import ProtocolError
from worldplay.web.audience import Audience
from worldplay.web.watch_links import WatchLinks, is_token_of, make_watch_token


def audience() -> Audience:
    metrics: Any = SimpleNamespace(watch_frames_dropped=Counter("dropped", "", registry=CollectorRegistry()))
    return Audience(metrics, lambda seconds, call: None)


def answer(links: WatchLinks, token: str) -> str:
    with pytest.raises(ProtocolError) as caught:
        links.find(token)
    return str(caught.value)


def test_token_holds_enough_chance_and_does_not_hold_the_secret() -> None:
    tokens = {make_watch_token("the secret") for _ in range(100)}
    assert len(tokens) == 100
    data = urlsafe_b64decode(tokens.pop() + "=")
    assert len(data) == 32  # half of it chance: 128 bits
    assert b"secret" not in data


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:-2],
        lambda t: "A" * len(t),
        lambda t: "",
        lambda t: "é\x00",
        lambda t: t[:20] + 400 * "!" + t[20:],
    ],
)
def test_only_the_sessions_own_token_is_known_again(change: Any) -> None:
    token = make_watch_token("the secret")
    assert is_token_of(token, "the secret")
    assert not is_token_of(token, "another secret")
    assert not is_token_of(change(token), "the secret")


def test_link_opens_its_walk_and_no_other() -> None:
    links, first, second = WatchLinks(9, 9), audience(), audience()
    tokens = [links.share(each, "secret", None) for each in (first, second)]
    assert [links.find(token) for token in tokens] == [first, second]


def test_walk_has_one_link_at_a_time() -> None:
    links, walk = WatchLinks(9, 9), audience()
    assert links.share(walk, "secret", None) == links.share(walk, "secret", make_watch_token("secret"))


def test_wrong_revoked_and_ended_links_are_answered_alike() -> None:
    links, revoked, ended = WatchLinks(9, 9), audience(), audience()
    tokens = [links.share(each, "secret", None) for each in (revoked, ended)]
    links.close(revoked, "the walk is no longer shared")
    links.close(ended, "the walk has ended")
    answers = {answer(links, token) for token in (*tokens, make_watch_token("secret"), "guessed", "")}
    assert len(answers) == 1
    assert answers.pop().startswith("not_found: expected hello.watch to be the token of a walk")


def test_link_works_again_after_a_restart_if_it_is_the_sessions_own() -> None:
    token = WatchLinks(9, 9).share(audience(), "secret", None)
    again, walk = WatchLinks(9, 9), audience()
    assert again.share(walk, "secret", token) == token
    assert again.find(token) is walk
    assert WatchLinks(9, 9).share(audience(), "of another", token) != token


@pytest.mark.parametrize(("most", "per_walk", "num"), [(3, 2, 2), (2, 9, 2)])
def test_no_more_may_watch_than_the_operator_says(most: int, per_walk: int, num: int) -> None:
    links, walk = WatchLinks(most, per_walk), audience()
    token = links.share(walk, "secret", None)
    watchers = [links.find(token).join(welcome()) for _ in range(num)]
    assert answer(links, token).startswith("busy: ")
    watchers[0].leave()
    assert links.find(token) is walk


@pytest.mark.parametrize(("most", "per_walk"), [(0, 9), (9, 0)])
def test_operator_may_let_nobody_watch(most: int, per_walk: int) -> None:
    with pytest.raises(ProtocolError, match="bad_request: expected no share: nobody can watch"):
        WatchLinks(most, per_walk).share(audience(), "secret", None)
