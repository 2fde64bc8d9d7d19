"""Requests that the API's own description makes up, good and bad, against the application in process."""

from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.applications import Starlette

from support.fake_chunks import make_chunk
from worldplay.engine.engine import Engine
from worldplay.engine.ports import Frames
from worldplay.settings import load_settings
from worldplay.web.app import create_app
from worldplay.web.errors import EXCEPTION_HANDLERS
from worldplay.world.chunk import Chunk, PendingChunk, Stage
from worldplay.world.snapshot import Snapshot, WalkedPath
from worldplay.world.steering import Move, Steering, WalkRequest
from worldplay.world.world import World

pytestmark = pytest.mark.slow

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
]


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


class QuickWorld:
    """Opens walks of grey frames: what is fuzzed is the API, with the real engine and encoder."""

    fps = 24

    def __init__(self, world: World) -> None:
        self.frames: Frames = np.full((4, world.height, world.width, 3), 128, np.uint8)

    def open_walk(self, request: WalkRequest) -> "QuickWalk":
        return QuickWalk(self.frames)

    def free_memory(self) -> None: ...


class QuickWalk:
    taken_as = None
    holds_context = False

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.num_chunks = 0

    def begin_chunk(self, steering: Steering) -> PendingChunk:
        return PendingChunk(self.stages(steering))

    def stages(self, steering: Steering) -> Generator[Stage, None, Chunk]:
        yield "step"
        steering.latch(4)
        self.num_chunks += 1
        return make_chunk(self.num_chunks - 1, motions=[], timings_ms={})

    def release(self) -> None: ...

    def prepare(self) -> None: ...

    def begin_cut(self, kept: int, steering: Steering) -> PendingChunk:
        raise AssertionError("a clip's chunk is not cut")

    def differs(self, kept: int, moves: Sequence[Move]) -> bool:
        return False

    def decode(self, chunk: Chunk) -> Iterator[Frames]:
        for count in (chunk.num_frames - 12, 4, 4, 4):
            yield self.frames[:count]

    decode_for_encoder = decode

    def truncate(self, num_chunks: int) -> None: ...

    def set_prompt(self, text: str) -> None: ...

    def snapshot(self) -> Snapshot:
        raise AssertionError("a clip is not kept")

    take_unsaved = snapshot

    def path(self) -> WalkedPath:
        raise AssertionError("a clip is not recorded")

    def show_last(self) -> Chunk | None:
        return None

    def count_unsaved(self, first: int) -> None: ...


@pytest.fixture(scope="module")
def app(world: World) -> Iterator[Starlette]:
    engine = Engine(QuickWorld(world), 1, 0)
    engine.start()
    routes = create_app(
        load_settings(store="none", recordings="none"), world, engine
    ).routes  # its lifespan would end with the process
    yield Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS)
    assert engine.close()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_are_as_described(app: Starlette, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operation = schema["/api/generate-video"]["POST"]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=SLOW)
    def check(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    check()


def test_health_is_as_described(app: Starlette) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    schema["/health"]["GET"].Case().call_and_validate(checks=CHECKS)
