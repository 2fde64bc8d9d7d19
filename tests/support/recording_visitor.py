"""A visitor whose walk is recorded: what it was sent, and how it asks for its recording."""

from typing import Any

import httpx

from support.raw_client import Message, RawClient


class Visitor:
    """A client that walks, and what it was sent."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.address = address
        self.client = RawClient(f"ws://{address}/ws?fields=recording,snapshots,rights").__enter__()
        self.welcome = self.client.hello(**({} if token is None else {"token": token}))
        self.messages: list[Message] = []
        self.token = token

    def walk(self, num_frames: int, **start: Any) -> "Visitor":
        if start:
            self.client.send("start", **start)
        frames = 0
        while frames < num_frames:
            self.messages.append(self.client.recv())
            frames += self.messages[-1]["type"] == "media"
        return self

    def hear_of_the_end(self) -> str:
        """Walk until the recording ends. Returns: why."""
        heard = self.client.collect(lambda message: message["type"] == "state")[-1]
        assert heard["what"] == "recording_ended"
        self.messages.clear()
        text: str = heard["text"]
        return text

    def sent(self, kind: str) -> list[Message]:
        return [message for message in self.messages if message["type"] == kind]

    def headers(self, **headers: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return {"X-Session-Secret": self.welcome["secret"], **token, **named}

    def url(self, name: str = "recording.mp4") -> str:
        return f"http://{self.address}/api/sessions/{self.welcome['session']}/{name}"

    def get(self, name: str = "recording.mp4", **headers: str) -> httpx.Response:
        return httpx.get(self.url(name), headers=self.headers(**headers), timeout=60)
