"""The routes of Ollama that manage models: pull, push, create, copy, delete.

Pulls and pushes take no time and fetch nothing; a name that starts with ``missing`` is in no registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trunkline_mock.delivery import Frame, Mark, Reply
from trunkline_mock.script import MockModel, Script
from trunkline_mock.shapes.base import Call, RefusalError, Route, json_reply, line
from trunkline_mock.shapes.ollama_store import OllamaStore, digest_of, full_name


def manage_routes(store: OllamaStore) -> Mapping[str, Mapping[str, Route]]:
    """The table of them."""
    manage = _Manage(store)
    return {
        "/api/pull": {"POST": Route(manage.pull, reads=True)},
        "/api/push": {"POST": Route(manage.push, reads=True)},
        "/api/create": {"POST": Route(manage.create, reads=True)},
        "/api/copy": {"POST": Route(manage.copy, reads=True)},
        "/api/delete": {"DELETE": Route(manage.delete, reads=True)},
    }


class _Manage:
    def __init__(self, store: OllamaStore) -> None:
        self._store = store

    def pull(self, call: Call, script: Script) -> Reply:
        name = _name(call)
        if name.startswith("missing"):
            return _progress(
                call, [{"status": "pulling manifest"}], error="pull model manifest: file does not exist"
            )
        model = self._store.catalog.find(name) or MockModel(name, ("completion", "tools"))
        lines = [{"status": "pulling manifest"}, *_transfer("pulling", model)]
        lines += [{"status": text} for text in ("verifying sha256 digest", "writing manifest", "success")]
        return _progress(call, lines, effect=lambda: self._store.catalog.add(model))

    def push(self, call: Call, script: Script) -> Reply:
        model = self._store.need(_name(call))
        lines = [{"status": "retrieving manifest"}, *_transfer("pushing", model)]
        return _progress(call, [*lines, {"status": "pushing manifest"}, {"status": "success"}])

    def create(self, call: Call, script: Script) -> Reply:
        name, source = _name(call), call.data.get("from")
        if not source and not call.data.get("files"):
            raise RefusalError(400, "neither 'from' or 'files' was specified")
        model = MockModel(name, ("completion",))
        if source:
            model = msgspec.structs.replace(self._store.need(source), name=name)
        lines = [{"status": text} for text in ("using existing layer", "writing manifest", "success")]
        return _progress(call, lines, effect=lambda: self._store.catalog.add(model))

    def copy(self, call: Call, script: Script) -> Reply:
        source, destination = call.data.get("source"), call.data.get("destination")
        if not source or not destination:
            raise RefusalError(400, "source and destination are required")
        self._store.need(source)
        return Reply(frames=(), effect=lambda: self._store.copy(source, destination))

    def delete(self, call: Call, script: Script) -> Reply:
        self._store.delete(_name(call))
        return Reply(frames=())


def _name(call: Call) -> str:
    name = call.data.get("model") or call.data.get("name")
    if not isinstance(name, str) or not name:
        raise RefusalError(400, "model is required")
    return name


def _transfer(word: str, model: MockModel) -> list[dict[str, Any]]:
    digest = digest_of(full_name(model.name))
    layer = {"status": f"{word} {digest[:12]}", "digest": f"sha256:{digest}", "total": model.size}
    return [layer, *(layer | {"completed": model.size * part // 4} for part in (1, 2, 3, 4))]


def _progress(
    call: Call,
    lines: list[dict[str, Any]],
    *,
    error: str | None = None,
    effect: Callable[[], None] | None = None,
) -> Reply:
    """A stream of progress lines, or with ``stream: false`` the last of them."""
    if call.data.get("stream") is False:
        if error is not None:
            raise RefusalError(500, error)
        return msgspec.structs.replace(json_reply(lines[-1]), effect=effect)
    lines = lines if error is None else [*lines, {"error": error}]
    return Reply(
        frames=(*(Frame(line(one)) for one in lines[:-1]), Frame(line(lines[-1]), Mark.FINISH)),
        content_type="application/x-ndjson",
        streamed=True,
        effect=effect,
    )
