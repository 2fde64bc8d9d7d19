"""A small Hugging Face hub on loopback: repositories are folders, connections may break."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

COMMIT = "c" * 40


@dataclass
class Hub:
    """What it serves, and how badly."""

    root: Path
    address: str = ""
    cuts: list[int] = field(default_factory=list)  # bytes after which the next answers break off
    fragile: str = ""  # what the names of files have in common that this happens to
    gated: set[str] = field(default_factory=set)
    ranged: bool = True  # whether it can answer with a part of a file
    asked: list[str] = field(default_factory=list)  # "name range" of every file that was asked for


@contextmanager
def serving_hub(root: Path) -> Iterator[Hub]:
    """Serve `root/<owner>/<repository>/...` until left."""
    hub = Hub(root)
    handler = type("BoundHandler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join(60.0)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        if found := re.fullmatch("/api/models/([^/]+/[^/]+)", path):
            self._list(found[1])
        elif found := re.fullmatch(f"/([^/]+/[^/]+)/resolve/{COMMIT}/(.*)", path):
            self._send_file(found[1], found[2])
        else:
            self._answer(404, b"")

    def _list(self, repository: str) -> None:
        folder = self.hub.root / repository
        siblings = [_describe(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()]
        info = {"id": repository, "sha": COMMIT, "siblings": siblings}
        self._answer(200, json.dumps(info).encode())

    def _send_file(self, repository: str, name: str) -> None:
        if repository in self.hub.gated:
            self._answer(403, b"", {"X-Error-Code": "GatedRepo"})
            return
        content = (self.hub.root / repository / name).read_bytes()
        start = 0
        if self.command == "GET":
            self.hub.asked.append(f"{name} {self.headers['Range']}")
            found = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            start = int(found[1]) if found and self.hub.ranged else 0
        headers = {"ETag": '"x"', "X-Repo-Commit": COMMIT}
        self._answer(206 if start else 200, content[start:], headers)

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            fragile = "/resolve/" in self.path and self.hub.fragile in self.path
            cut = self.hub.cuts.pop(0) if self.hub.cuts and fragile else None
            self.wfile.write(content[:cut])


def _describe(path: Path, folder: Path) -> dict[str, object]:
    content = path.read_bytes()
    sibling = {
        "rfilename": str(path.relative_to(folder)),
        "size": len(content),
        "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
    }
    if path.suffix != ".safetensors":
        return sibling
    sha256 = hashlib.sha256(content).hexdigest()
    return {**sibling, "lfs": {"size": len(content), "sha256": sha256, "pointerSize": 130}}
