"""The description of the HTTP API at /openapi.json."""

from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from worldplay.settings import Settings
from worldplay.web.openapi_files import json_of, recording_paths, snapshot_paths
from worldplay.web.schemas import (
    ErrorResponse,
    GenerateVideoRequest,
    GenerateVideoResponse,
    Health,
    NewSnapshot,
    RecordedWalk,
    SnapshotList,
)

_ERRORS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    403: "The Host header names something else than this server.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The Content-Type is not application/json.",
    422: "A field is not as described, or not possible with the loaded model.",
    500: "The server failed; its log says why.",
    503: "Too many clips wait, or the server is stopping or out of memory. Try again later.",
}
_HEADERS = {
    "X-Seed": {"description": "Seed of the noise.", "required": True, "schema": {"type": "integer"}},
    "X-Unused-Poses": {
        "description": "How many poses at the end of `pose` were not used, as `num_frames` needs fewer.",
        "schema": {"type": "integer"},
    },
}
_ERROR_HEADERS = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}},
    503: {
        "Retry-After": {
            "description": "Seconds after which to try again, where that is known.",
            "schema": {"type": "integer"},
        }
    },
}


def describe_api(settings: Settings) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document from the classes that check requests and responses."""
    needs_token = settings.token is not None
    answers: list[type[BaseModel]] = [GenerateVideoResponse, ErrorResponse, Health]
    paths = {"/api/generate-video": {"post": _generate_video(needs_token)}, "/health": {"get": _health()}}
    if settings.store != "none":
        answers += [NewSnapshot, SnapshotList]
        paths |= snapshot_paths(needs_token)
    if settings.recordings != "none":
        answers.append(RecordedWalk)
        paths |= recording_paths(needs_token)
    _, definitions = models_json_schema(
        [(GenerateVideoRequest, "validation"), *_sent(answers)],
        ref_template="#/components/schemas/{model}",
    )
    components: dict[str, Any] = {"schemas": definitions["$defs"]}
    if needs_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "WorldPlay Live", "version": version("worldplay-live")},
        "paths": paths,
        "components": components,
    }


def _sent(models: list[type[BaseModel]]) -> list[tuple[type[BaseModel], Literal["serialization"]]]:
    return [(model, "serialization") for model in models]


def _generate_video(needs_token: bool) -> dict[str, Any]:
    video = {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}
    operation: dict[str, Any] = {
        "operationId": "generateVideo",
        "summary": "Generate a clip",
        "description": "With `Accept: video/mp4` the answer is the file itself, sent while it is made.",
        "requestBody": {"required": True, "content": json_of(GenerateVideoRequest)},
        "responses": {
            "200": {
                "description": "The clip.",
                "headers": _HEADERS,
                "content": {**json_of(GenerateVideoResponse), **video},
            },
            **{
                str(status): {
                    "description": text,
                    "headers": _ERROR_HEADERS.get(status, {}),
                    "content": json_of(ErrorResponse),
                }
                for status, text in _ERRORS.items()
                if needs_token or status != 401
            },
        },
    }
    if needs_token:
        operation["security"] = [{"token": []}]
    return operation


def _health() -> dict[str, Any]:
    answer = {"content": json_of(Health)}
    return {
        "operationId": "health",
        "summary": "State of the server",
        "responses": {
            "200": {"description": "The server works.", **answer},
            "503": {"description": "The engine has failed.", **answer},
        },
    }
