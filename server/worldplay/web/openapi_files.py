"""The description of what is downloaded and uploaded: kept walks and recordings."""

from typing import Any

from worldplay.web.schemas import ErrorResponse, NewSnapshot, RecordedWalk, SnapshotList

_ERRORS = {
    401: "The token is missing or wrong.",
    403: "The Host header names something else than this server.",
    404: "There is none here, or no longer, or not for who asks.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The Content-Type is not application/octet-stream.",
    416: "The range begins behind the end.",
    422: "A header, a parameter or the file is not as described.",
    500: "The server failed; its log says why.",
    503: "Too many requests at a time. Try again later.",
    507: "The store has no room for another walk.",
}
_ALWAYS = (401, 403, 500, 503)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_SNAPSHOT_FILE = {"application/octet-stream": _BINARY}
_PARTS = {
    "ETag": {"description": "Changes as the recording grows.", "schema": {"type": "string"}},
    "Accept-Ranges": {"schema": {"const": "bytes"}},
}
_PART = {"Content-Range": {"schema": {"type": "string"}}}


def snapshot_paths(needs_token: bool) -> dict[str, Any]:
    """Describe the paths of kept walks."""
    key = _parameter("X-Walk-Key", "header", "The owner's secret.", {"minLength": 16, "maxLength": 512})
    name = _parameter("name", "query", "The walk's name.", {"maxLength": 200}, required=False)
    id = _parameter("id", "path", "The walk's id.")
    listed = {"200": _answer("The owner's walks.", json_of(SnapshotList))}
    kept = {"201": _answer("The walk is kept.", json_of(NewSnapshot))}
    file = {"200": _answer("The walk.", _SNAPSHOT_FILE)}
    upload = _operation(
        "uploadSnapshot", "Keep a walk", needs_token, [key, name], kept, 408, 413, 415, 422, 507
    )
    upload["requestBody"] = {"required": True, "content": _SNAPSHOT_FILE}
    return {
        "/api/snapshots/": {
            "get": _operation("listSnapshots", "List kept walks", needs_token, [key], listed, 422),
            "post": upload,
        },
        "/api/snapshots/{id}": {
            "get": _operation("downloadSnapshot", "Download a kept walk", needs_token, [id], file, 404),
            "delete": _operation(
                "deleteSnapshot",
                "Delete a kept walk",
                needs_token,
                [id, key],
                {"204": {"description": "It is gone."}},
                404,
                422,
            ),
        },
    }


def recording_paths(needs_token: bool) -> dict[str, Any]:
    """Describe the paths of recordings."""
    id = _parameter("id", "path", "`session` of the welcome.")
    secret = _parameter(
        "X-Session-Secret", "header", "`secret` of the welcome; without a link.", required=False
    )
    share = _parameter("share", "query", "The token of a link to the recording.", required=False)
    part = _parameter("Range", "header", "One range of bytes.", required=False)
    walk = {"200": _answer("The walk.", json_of(RecordedWalk))}
    video = {
        "200": {**_answer("The whole video.", {"video/mp4": _BINARY}), "headers": _PARTS},
        "206": {**_answer("The range of it.", {"video/mp4": _BINARY}), "headers": {**_PARTS, **_PART}},
    }
    download = _operation(
        "downloadRecording", "Download a video", needs_token, [id, share, secret, part], video, 404, 416
    )
    gone = {"204": {"description": "It opens nothing any more."}}
    revoke = _operation("revokeRecordingLink", "Revoke the link", needs_token, [id, secret], gone, 404)
    describe = _operation("downloadWalk", "Download a walk", needs_token, [id, share, secret], walk, 404)
    return {
        "/api/sessions/{id}/recording.mp4": {"get": download},
        "/api/sessions/{id}/walk.json": {"get": describe},
        "/api/sessions/{id}/recording-link": {"delete": revoke},
    }


def _operation(
    id: str,
    summary: str,
    needs_token: bool,
    parameters: list[dict[str, Any]],
    answers: dict[str, Any],
    *errors: int,
) -> dict[str, Any]:
    statuses = [status for status in sorted({*_ALWAYS, *errors}) if needs_token or status != 401]
    refusals = {str(status): _answer(_ERRORS[status], json_of(ErrorResponse)) for status in statuses}
    operation: dict[str, Any] = {
        "operationId": id,
        "summary": summary,
        "parameters": parameters,
        "responses": {**answers, **refusals},
    }
    if needs_token:
        operation["security"] = [{"token": []}]
    return operation


def _parameter(
    name: str, place: str, text: str, limits: dict[str, int] | None = None, required: bool = True
) -> dict[str, Any]:
    schema = {"type": "string", **(limits or {})}
    return {"name": name, "in": place, "description": text, "required": required, "schema": schema}


def _answer(text: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": content}


def json_of(model: type) -> dict[str, Any]:
    """Describe a body in JSON."""
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
