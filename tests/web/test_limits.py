"""How many requests may be at something at a time."""

import pytest

from worldplay.web.errors import ApiError
from worldplay.web.limits import AddressLimit, BytesLimit, RequestLimit


def test_request_beyond_the_limit_is_told_when_to_try_again() -> None:
    limit = RequestLimit(1, "clips")
    with limit.hold(2.5):
        with pytest.raises(ApiError, match=r"^at most 1 clips at a time: try again later$") as refused:
            limit.check(2.5)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "3"})
    limit.check(2.5)


def test_request_that_fails_is_no_longer_counted() -> None:
    limit = RequestLimit(1, "clips")
    with pytest.raises(KeyError), limit.hold(1.0):
        raise KeyError
    limit.check(1.0)


def test_requests_up_to_the_limit_go_side_by_side() -> None:
    limit = RequestLimit(2, "clips")
    with limit.hold(1.0):
        limit.check(1.0)
        with limit.hold(1.0), pytest.raises(ApiError, match="at most 2 clips"):
            limit.check(1.0)


@pytest.mark.parametrize(
    ("address", "message"),
    [("a", "^at most 2 walks of one address at a time: try"), ("c", "^at most 3 walks at a time: try")],
)
def test_refusal_says_whose_limit_is_reached(address: str, message: str) -> None:
    limit = AddressLimit(2, 3, "walks")
    with (
        limit.hold("a", 1.0),
        limit.hold("a", 1.0),
        limit.hold("b", 1.0),
        pytest.raises(ApiError, match=message),
        limit.hold(address, 1.0),
    ):
        pass


def test_one_thing_may_have_any_size_and_others_wait() -> None:
    limit = BytesLimit(10, 20)
    assert limit.add("a", 100)
    assert not limit.add("a", 1)
    assert not limit.add("b", 1)
    limit.remove("a", 100)
    assert limit.add("a", 5)
    assert limit.add("a", 5)
    assert not limit.add("a", 1)
    assert limit.add("b", 10)
    assert not limit.add("c", 1)
