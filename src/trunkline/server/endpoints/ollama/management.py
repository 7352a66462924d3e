"""Management of the fleet's models: pull, push, create, copy, delete, and the files that models are made of.

Each request goes to the server that ``?upstream=`` names, else where the setting OLLAMA_MANAGE says: to all
servers that it concerns, or to the one with the most room. When it is done, the catalog is refreshed.

A client is told which servers have not done it. One that does not answer is given the command when it answers
again (``repairs``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Final, NamedTuple

from trunkline.errors import (
    MODEL_NOT_FOUND,
    UPSTREAM_RESET,
    UPSTREAM_TIMEOUT,
    UPSTREAM_TRUNCATED,
    UPSTREAM_UNREACHABLE,
    CallerError,
    GatewayError,
)
from trunkline.pipe import Pipe
from trunkline.providers.ollama import OllamaServer
from trunkline.server.endpoints.ollama import fleet
from trunkline.server.endpoints.ollama.fields import read_fields
from trunkline.server.endpoints.ollama.fleet import Command, Fleet, ManagedFleet
from trunkline.server.endpoints.ollama.pages import model_in
from trunkline.server.endpoints.ollama.progress_merge import Failure, Line, error_of, merge
from trunkline.server.http.async_handler import RequestContext
from trunkline.server.http.page import TEXT, Answer, Page, Progress, json_page

_DIGEST: Final = re.compile(r"sha256[:-][0-9a-f]{64}")
_SUCCESS: Final[Line] = {"status": "success"}
_AWAY: Final = (UPSTREAM_UNREACHABLE, UPSTREAM_RESET, UPSTREAM_TIMEOUT, UPSTREAM_TRUNCATED)
"""Failures of a server that has gone away, not of what it was asked."""


async def pull(context: RequestContext[ManagedFleet], only: str | None = None) -> Answer:
    """Have a model fetched: by all servers that lack it (by all, if none does), by one, or by the one with
    the most room."""
    services, fields = context.services, read_fields(context.body)
    servers, model = fleet.resolve_model(services, model_in(fields), only, "pull", context.key)
    servers, selection = fleet.select_servers(services, servers, context.query.get("upstream"))
    servers, silent = await _answering(services, servers, selection)
    if selection != fleet.NAMED:
        lacking = [server for server in servers if not fleet.listing_of(services, server).holds(model)]
        if selection == fleet.ALL:
            servers = lacking or servers
        elif len(lacking) == len(servers):
            servers = fleet.emptiest(services, servers)
        else:
            servers = [server for server in servers if server not in lacking]
    targets = _Targets(servers, silent, model, selection == fleet.ALL)
    return await _run_on_servers(context, fields, targets, "/api/pull", _body_for(fields, model))


async def push(context: RequestContext[ManagedFleet], only: str | None = None) -> Answer:
    """Have one server that has the model send it to its registry."""
    fields = read_fields(context.body)
    found = await _servers_with(context, model_in(fields), only, "push")
    targets = _Targets(found.servers[:1], [], found.model)
    return await _run_on_servers(context, fields, targets, "/api/push", _body_for(fields, found.model))


async def create(context: RequestContext[ManagedFleet], only: str | None = None) -> Answer:
    """Have a model made: by all servers, by one, or by the one with the most room of those that have what it
    is made of."""
    services, fields = context.services, read_fields(context.body)
    servers, model = fleet.resolve_model(services, model_in(fields), only, "create", context.key)
    servers, selection = fleet.select_servers(services, servers, context.query.get("upstream"))
    base = fields.get("from")
    body = _body_for(fields, model)
    if isinstance(base, str) and base:
        body["from"] = fleet.resolve_model(services, base, only, "create a model from", context.key).model
    servers, silent = await _answering(services, servers, selection)
    if selection == fleet.EMPTIEST:
        able = [server for server in servers if await _has_parts(services, server, body)]
        servers = fleet.emptiest(services, able or servers)
    targets = _Targets(servers, silent, model, selection == fleet.ALL)
    return await _run_on_servers(context, fields, targets, "/api/create", body)


class _Targets(NamedTuple):
    """The servers that a request is for, and what it is about."""

    servers: list[OllamaServer]
    """Those that are asked now."""
    silent: list[OllamaServer]
    """Those that do not answer."""
    model: str
    catch_up: bool = False
    """The silent ones are to do it as well, once they answer again."""


async def _answering(
    services: Fleet, servers: list[OllamaServer], selection: str
) -> tuple[list[OllamaServer], list[OllamaServer]]:
    """The servers that answer now (all, if none answers or one is named), and the others."""
    await fleet.refresh(services, servers)
    return _by_answer(services, servers, selection)


def _by_answer(
    services: Fleet, servers: list[OllamaServer], selection: str
) -> tuple[list[OllamaServer], list[OllamaServer]]:
    answering = servers if selection == fleet.NAMED else fleet.answering(services, servers)
    names = {server.name for server in answering}
    return answering, [server for server in servers if server.name not in names]


async def _has_parts(services: Fleet, server: OllamaServer, body: dict[str, Any]) -> bool:
    """Whether a server has the files, or the model, that another is to be made of."""
    base = body.get("from")
    if isinstance(base, str) and base and not fleet.listing_of(services, server).holds(base):
        return False
    digests = [
        digest
        for field in ("files", "adapters", "draft_files")
        if isinstance(body.get(field), dict)
        for digest in body[field].values()
    ]
    try:
        return all([await server.has_blob(str(digest)) for digest in digests])
    except GatewayError:
        return False


async def copy(context: RequestContext[ManagedFleet], only: str | None = None) -> Page:
    """Give a model a second name on every server that has it."""
    services, fields = context.services, read_fields(context.body)
    source, destination = fields.get("source"), fields.get("destination")
    if not isinstance(source, str) or not isinstance(destination, str) or not (source and destination):
        raise CallerError("source and destination are required", param="source")
    targets = await _servers_with(context, source, only, "copy")
    new_name = fleet.resolve_model(services, destination, only, "copy to", context.key).model
    body = {"source": targets.model, "destination": new_name}
    await _command_all(services, targets, Command("POST", "/api/copy", body, new_name))
    return Page(b"", TEXT)


async def delete(context: RequestContext[ManagedFleet], only: str | None = None) -> Page:
    """Delete a model on every server that has it."""
    fields = read_fields(context.body)
    targets = await _servers_with(context, model_in(fields), only, "delete")
    body = _body_for({}, targets.model)
    await _command_all(context.services, targets, Command("DELETE", "/api/delete", body, targets.model))
    return Page(b"", TEXT)


async def has_blob(context: RequestContext[ManagedFleet], digest: str, only: str | None = None) -> Page:
    """200 if every server that would be given the file has it."""
    found = await _find_blob(_servers_for_blob(context, digest, only), digest)
    return Page(b"", TEXT, 200 if all(has for _, has in found) else 404)


async def put_blob(context: RequestContext[ManagedFleet], digest: str, only: str | None = None) -> Page:
    """Give a file to the servers that lack it, as it comes in: it is stored nowhere on the way."""
    assert context.pieces is not None
    found = await _find_blob(_servers_for_blob(context, digest, only), digest)
    lacking = [server for server, has in found if not has]
    if not lacking:
        return Page(b"", TEXT)
    await _upload_to_all(lacking, digest, context.pieces, context.length)
    return Page(b"", TEXT, 201)


def _servers_for_blob(
    context: RequestContext[ManagedFleet], digest: str, only: str | None
) -> list[OllamaServer]:
    if not _DIGEST.fullmatch(digest):
        raise CallerError("invalid digest format", param="digest")
    services = context.services
    servers = fleet.servers_of(services, only, context.key)
    if not servers:
        raise CallerError("There is no Ollama server to give files to")
    servers, selection = fleet.select_servers(services, servers, context.query.get("upstream"))
    if selection != fleet.NAMED:
        servers = fleet.answering(services, servers)
    return fleet.emptiest(services, servers) if selection == fleet.EMPTIEST else servers


async def _find_blob(servers: Sequence[OllamaServer], digest: str) -> list[tuple[OllamaServer, bool]]:
    """Each server that answers, and whether it has the file.

    Raises:
        GatewayError: none answers.
    """
    found = await asyncio.gather(*(_has_blob(server, digest) for server in servers))
    answers = [
        (server, has) for server, has in zip(servers, found, strict=True) if not isinstance(has, GatewayError)
    ]
    failures = [has for has in found if isinstance(has, GatewayError)]
    if not answers:
        raise failures[0]
    return answers


async def _has_blob(server: OllamaServer, digest: str) -> bool | GatewayError:
    try:
        return await server.has_blob(digest)
    except GatewayError as error:
        return error


async def _upload_to_all(
    servers: Sequence[OllamaServer], digest: str, pieces: Pipe, size: int | None
) -> None:
    """Upload a file to all servers at once, at the pace of the slowest."""
    branches = [_UploadBranch() for _ in servers]
    uploads = [
        asyncio.ensure_future(server.upload(digest, size, branch))
        for server, branch in zip(servers, branches, strict=True)
    ]
    for upload, branch in zip(uploads, branches, strict=True):
        upload.add_done_callback(branch.close)
    try:
        async for piece in pieces:
            for branch in branches:
                await branch.put(piece)
            if all(upload.done() for upload in uploads):
                break
        for branch in branches:
            await branch.put(None)
        await asyncio.gather(*uploads)
    finally:
        for upload in uploads:
            upload.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)


class _UploadBranch:
    """The pieces of an upload for one server, as an async iterator. A few pieces may wait in it at most."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self._closed = asyncio.Event()

    async def put(self, piece: bytes | None) -> None:
        """Hand on a piece, as soon as there is room. None is the end."""
        if self._closed.is_set():
            return
        putting = asyncio.ensure_future(self._queue.put(piece))
        closing = asyncio.ensure_future(self._closed.wait())
        await asyncio.wait({putting, closing}, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()
        closing.cancel()

    def close(self, _: object) -> None:
        """The upload is over: nothing more is taken."""
        self._closed.set()

    def __aiter__(self) -> _UploadBranch:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._queue.get()
        if piece is None:
            raise StopAsyncIteration
        return piece


async def _servers_with(
    context: RequestContext[ManagedFleet], name: str, only: str | None, verb: str
) -> _Targets:
    """The servers that have a model, of those that the request is for.

    If none has it, it is one that answers, so that the client has Ollama's own words for what is wrong.
    """
    services = context.services
    await fleet.refresh(services, fleet.servers_of(services, only, context.key))
    servers, model = fleet.resolve_model(services, name, only, verb, context.key)
    servers, selection = fleet.select_servers(services, servers, context.query.get("upstream"))
    answering, silent = _by_answer(services, servers, selection)
    holding = [server for server in answering if fleet.listing_of(services, server).holds(model)]
    return _Targets(holding or answering[:1], silent, model, catch_up=bool(holding))


async def _command_all(services: ManagedFleet, targets: _Targets, command: Command) -> None:
    """Give a command to all servers.

    Raises:
        GatewayError: some have not done it, which is told for each; or 404, none has the model.
    """
    servers, silent = targets.servers, targets.silent
    services.repairs.forget(servers, command.model)
    try:
        commands = (server.command(command.method, command.path, command.body) for server in servers)
        answers = await asyncio.gather(*commands, return_exceptions=True)
    finally:
        await fleet.refresh(services, servers)
    failures: list[Failure] = []
    for server, answer in zip(servers, answers, strict=True):
        if isinstance(answer, GatewayError):
            failures.append(Failure(server.name, answer))
        elif isinstance(answer, BaseException):
            raise answer
    if failures and not targets.catch_up and failures[0].error.kind is MODEL_NOT_FOUND:
        raise _missing(targets)
    away = _keep(services, targets, command, failures)
    failures += [Failure(server.name, fleet.silence_of(services, server)) for server in silent]
    if failures:
        error = error_of(failures, [server.name for server in (*servers, *silent)])
        if away:
            error.message += f". To be done when it answers again: {', '.join(away)}"
        raise error


def _keep(
    services: ManagedFleet, targets: _Targets, command: Command, failures: Sequence[Failure]
) -> list[str]:
    """Keep a command for the servers that are away, and return their names: those that are silent, and those
    that broke off while others have done it."""
    if not targets.catch_up or len(failures) == len(targets.servers):
        return []
    broke_off = {each.server for each in failures if each.error.kind in _AWAY}
    away = [server for server in targets.servers if server.name in broke_off] + targets.silent
    services.repairs.add(away, command)
    return [server.name for server in away]


def _missing(targets: _Targets) -> CallerError:
    """The error for a model that no server has which answers."""
    error = fleet.not_found(targets.model)
    if targets.silent:
        names = ", ".join(server.name for server in targets.silent)
        error.message += f" on any server that answers; not asked, because they do not answer: {names}"
    return error


def _body_for(fields: dict[str, Any], model: str) -> dict[str, Any]:
    """The request as it came, with the model's name at its server."""
    return {name: value for name, value in fields.items() if name not in ("name", "stream")} | {
        "model": model
    }


async def _run_on_servers(
    context: RequestContext[ManagedFleet],
    fields: dict[str, Any],
    targets: _Targets,
    path: str,
    body: dict[str, Any],
) -> Answer:
    """Have servers work, and answer with their progress.

    Args:
        context: of the request.
        fields: those of the client's body; ``stream`` is among them.
        targets: the servers.
        path: at the servers.
        body: what the servers are sent.

    Returns:
        The progress, or its last line where the client wants no stream.
    """
    services, silent = context.services, targets.silent
    by_name = {server.name: server for server in targets.servers}
    command = Command("POST", path, body, targets.model)
    failures: list[Failure] = []

    def work(name: str) -> AsyncGenerator[Line, None]:
        return by_name[name].progress(path, body)

    def outcomes() -> dict[str, str]:
        """How it ended at each server."""
        failed = {each.server: each.error.message for each in failures}
        failed |= {server.name: fleet.silence_of(services, server).message for server in silent}
        return {name: failed.get(name, "") for name in (*by_name, *(server.name for server in silent))}

    async def lines() -> AsyncGenerator[Line, None]:
        for server in silent:
            yield {"status": f"passing over {server.name}, which does not answer"}
        services.repairs.forget(targets.servers, targets.model)
        error: GatewayError | None = None
        try:
            async with aclosing(merge(list(by_name), work, failures)) as merged:
                async for line in merged:
                    yield line
        except GatewayError as failure:
            error = failure
        await fleet.refresh(services, targets.servers)
        _keep(services, targets, command, failures)
        if error is not None and error.kind is MODEL_NOT_FOUND and path == "/api/push":
            error = _missing(targets)
        found = outcomes()
        if len(failures) < len(by_name) and any(found.values()):
            for name, reason in found.items():
                yield {"status": f"not done at {name}: {reason}" if reason else f"done at {name}"}
        if error is not None:
            raise error
        yield _SUCCESS

    if fields.get("stream") is False:
        last = [line async for line in lines()][-1]
        found = outcomes()
        if any(found.values()):
            last = last | {
                "servers": [
                    {"name": name, "done": not reason} | ({"error": reason} if reason else {})
                    for name, reason in found.items()
                ]
            }
        return json_page(last)
    return Progress(lines())
