"""How much of the recordings one address may ask for at a time."""

import asyncio
from collections.abc import MutableMapping
from threading import Event
from typing import Any, cast

from starlette.requests import Request

from worldplay.settings import load_settings
from worldplay.web.answer import Answer
from worldplay.web.limits import AddressLimit
from worldplay.web.recording_api import MAX_READS_EACH, RecordingApi, RecordingEndpoint

ONE, OTHER = "192.0.2.1", "192.0.2.2"


async def get_status(endpoint: RecordingEndpoint, address: str) -> int:
    """Ask an endpoint. Returns: the status of its answer."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (address, 1)}
    await endpoint(scope, receive, send)
    return cast(int, sent[0]["status"])


async def test_requests_of_one_address_are_bounded() -> None:
    go_on = asyncio.Event()

    async def handle(request: Request, answer: Answer) -> None:
        await go_on.wait()
        await answer.begin([], 204)
        await answer.end()

    endpoint = RecordingEndpoint(handle, load_settings(), AddressLimit(2, 9, "requests for recordings"))
    held = [asyncio.create_task(get_status(endpoint, address)) for address in (ONE, ONE, OTHER)]
    await asyncio.sleep(0)
    assert await get_status(endpoint, ONE) == 503
    go_on.set()
    assert await asyncio.gather(*held) == [204, 204, 204]
    assert await get_status(endpoint, ONE) == 204


async def test_reads_of_one_address_leave_threads_to_others() -> None:
    api = RecordingApi(load_settings(), cast(Any, None), cast(Any, None))
    go_on = Event()
    slow = [asyncio.create_task(api._read(ONE, go_on.wait, 60.0)) for _ in range(4 * MAX_READS_EACH)]
    assert await asyncio.wait_for(api._read(OTHER, lambda: "read"), 60.0) == "read"
    go_on.set()
    assert await asyncio.gather(*slow) == [True] * len(slow)
