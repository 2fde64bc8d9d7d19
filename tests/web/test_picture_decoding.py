"""Pictures of all clients are decoded one at a time, and of all addresses in turn."""

import asyncio

import pytest

from worldplay.web.picture_decoding import MAX_ADDRESS_BYTES, PictureDecoding, PicturesFullError


async def test_picture_of_another_address_waits_for_one_at_most() -> None:
    decoding, order = PictureDecoding(), list[str]()

    def decode(data: bytes) -> None:
        order.append(data.decode())

    many = [asyncio.ensure_future(decoding.run("many", decode, b"many")) for _ in range(10)]
    await asyncio.sleep(0)
    await decoding.run("one", decode, b"one")
    assert order.index("one") <= 2
    await asyncio.gather(*many)
    assert len(order) == 11


async def test_pictures_that_wait_are_bounded_by_address() -> None:
    decoding, large = PictureDecoding(), bytes(MAX_ADDRESS_BYTES)
    first = asyncio.ensure_future(decoding.run("a", len, large))
    await asyncio.sleep(0)
    with pytest.raises(PicturesFullError):
        await decoding.run("a", len, b"one more")
    assert await decoding.run("b", len, b"another") == 7
    assert await first == MAX_ADDRESS_BYTES
    assert await decoding.run("a", len, b"now") == 3
