"""The routes of Ollama that manage models: pull, push, create, copy and delete.

Pulls and pushes finish at once and transfer nothing. A model whose name starts with ``missing`` is in no
registry, so that a pull of it fails; for one that starts with ``huge`` the disk has no room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.script import MockModel, Script
from trunkline_mock.shapes.base import ParsedRequest, Route, VendorError, json_response, ndjson_line
from trunkline_mock.shapes.ollama.store import OllamaStore, check_name, normalize_name, sha256_digest


def management_routes(store: OllamaStore) -> Mapping[str, Mapping[str, Route]]:
    """The routes that manage the models of ``store``, by path and method."""
    manage = _Management(store)
    return {
        "/api/pull": {"POST": Route(manage.pull, takes_json=True)},
        "/api/push": {"POST": Route(manage.push, takes_json=True)},
        "/api/create": {"POST": Route(manage.create, takes_json=True)},
        "/api/copy": {"POST": Route(manage.copy, takes_json=True)},
        "/api/delete": {"DELETE": Route(manage.delete, takes_json=True)},
    }


class _Management:
    def __init__(self, store: OllamaStore) -> None:
        self._store = store

    def pull(self, request: ParsedRequest, script: Script) -> Response:
        name = _require_name(request)
        if name.startswith("missing"):
            return _progress_response(
                request, [{"status": "pulling manifest"}], error="pull model manifest: file does not exist"
            )
        if name.startswith("huge"):
            full = f"write blobs/sha256-{sha256_digest(name)}: no space left on device"
            return _progress_response(request, [{"status": "pulling manifest"}], error=full)
        model = self._store.catalog.find(name) or MockModel(name, ("completion", "tools"))
        lines = [{"status": "pulling manifest"}, *_transfer_lines("pulling", model)]
        lines += [{"status": text} for text in ("verifying sha256 digest", "writing manifest", "success")]
        return _progress_response(request, lines, side_effect=lambda: self._store.catalog.add(model))

    def push(self, request: ParsedRequest, script: Script) -> Response:
        model = self._store.require_model(_require_name(request))
        lines = [{"status": "retrieving manifest"}, *_transfer_lines("pushing", model)]
        return _progress_response(request, [*lines, {"status": "pushing manifest"}, {"status": "success"}])

    def create(self, request: ParsedRequest, script: Script) -> Response:
        name, source = _require_name(request), request.data.get("from")
        if not source and not request.data.get("files"):
            raise VendorError(400, "neither 'from' or 'files' was specified")
        model = MockModel(name, ("completion",))
        if source:
            model = msgspec.structs.replace(self._store.require_model(source), name=name)
        lines = [{"status": text} for text in ("using existing layer", "writing manifest", "success")]
        return _progress_response(request, lines, side_effect=lambda: self._store.catalog.add(model))

    def copy(self, request: ParsedRequest, script: Script) -> Response:
        source, destination = request.data.get("source"), request.data.get("destination")
        if not source or not destination:
            raise VendorError(400, "source and destination are required")
        self._store.require_model(source)
        return Response(records=(), side_effect=lambda: self._store.copy(source, destination))

    def delete(self, request: ParsedRequest, script: Script) -> Response:
        self._store.delete(_require_name(request))
        return Response(records=())


def _require_name(request: ParsedRequest) -> str:
    name = request.data.get("model") or request.data.get("name")
    if not isinstance(name, str) or not name:
        raise VendorError(400, "model is required")
    check_name(name)
    return name


def _transfer_lines(verb: str, model: MockModel) -> list[dict[str, Any]]:
    """The progress lines of a layer's transfer."""
    digest = sha256_digest(normalize_name(model.name))
    layer = {"status": f"{verb} {digest[:12]}", "digest": f"sha256:{digest}", "total": model.size}
    return [layer, *(layer | {"completed": model.size * part // 4} for part in (1, 2, 3, 4))]


def _progress_response(
    request: ParsedRequest,
    lines: list[dict[str, Any]],
    *,
    error: str | None = None,
    side_effect: Callable[[], None] | None = None,
) -> Response:
    """The response with progress lines as a stream, or with only the last of them if ``stream`` is false.

    Args:
        request: The request.
        lines: The progress lines.
        error: The message of the error with which the operation fails.
        side_effect: The change to the server's models.

    Raises:
        VendorError: The operation fails and the response is not a stream.
    """
    if request.data.get("stream") is False:
        if error is not None:
            raise VendorError(500, error)
        return msgspec.structs.replace(json_response(lines[-1]), side_effect=side_effect)
    lines = lines if error is None else [*lines, {"error": error}]
    return Response(
        records=(
            *(Record(ndjson_line(progress_line)) for progress_line in lines[:-1]),
            Record(ndjson_line(lines[-1]), RecordKind.FINISH),
        ),
        content_type="application/x-ndjson",
        streamed=True,
        side_effect=side_effect,
    )
