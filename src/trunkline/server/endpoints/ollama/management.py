"""The models of the fleet, managed: pull, push, create, copy, delete, and the files that models are made of.

Each goes to the server that ``?upstream=`` names, else where the setting OLLAMA_MANAGE says: to all that it
concerns, or to the one with room. When it is done, the gateway's catalog knows of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from trunkline.errors import CallerError, GatewayError
from trunkline.pipe import Pipe
from trunkline.providers.ollama import OllamaServer
from trunkline.server.endpoints.ollama import fleet
from trunkline.server.endpoints.ollama.pages import fields_of, model_in
from trunkline.server.endpoints.ollama.progress_merge import Line, merge
from trunkline.server.endpoints.pages import TEXT, Page, json_page
from trunkline.server.http.async_handler import Answer, Progress, RequestContext

if TYPE_CHECKING:
    from trunkline.server.app.gateway import Gateway

_DIGEST: Final = re.compile(r"sha256[:-][0-9a-f]{64}")
_DONE: Final[Line] = {"status": "success"}


async def pull(context: RequestContext, only: str | None = None) -> Answer:
    """Have models fetched: by all servers that lack it (by all, if none does), by one, or by the one with
    room."""
    gateway, fields = context.gateway, fields_of(context.body)
    servers, model = fleet.meant(gateway, model_in(fields), only, "pull")
    servers, how = fleet.chosen(gateway, servers, context.query.get("upstream"))
    servers, notes = await _awake(gateway, servers, how)
    if how != "named":
        lacking = [server for server in servers if not fleet.listing_of(gateway, server).holds(model)]
        if how == fleet.ALL:
            servers = lacking or servers
        elif len(lacking) == len(servers):
            servers = fleet.roomiest(gateway, servers)
        else:
            servers = [server for server in servers if server not in lacking]
    return await _job(context, fields, servers, "/api/pull", _naming(fields, model), notes)


async def push(context: RequestContext, only: str | None = None) -> Answer:
    """Have one server that has the model send it to its registry."""
    fields = fields_of(context.body)
    servers, model = await _having(context, model_in(fields), only, "push")
    return await _job(context, fields, servers[:1], "/api/push", _naming(fields, model))


async def create(context: RequestContext, only: str | None = None) -> Answer:
    """Have a model made: by all servers, by one, or by the one with room that has what it is made of."""
    gateway, fields = context.gateway, fields_of(context.body)
    servers, model = fleet.meant(gateway, model_in(fields), only, "create")
    servers, how = fleet.chosen(gateway, servers, context.query.get("upstream"))
    base = fields.get("from")
    body = _naming(fields, model)
    if isinstance(base, str) and base:
        body["from"] = fleet.meant(gateway, base, only, "create a model from").model
    servers, notes = await _awake(gateway, servers, how)
    if how == fleet.ROOM:
        able = [server for server in servers if await _has_parts(gateway, server, body)]
        servers = fleet.roomiest(gateway, able or servers)
    return await _job(context, fields, servers, "/api/create", body, notes)


async def _awake(
    gateway: Gateway, servers: list[OllamaServer], how: str
) -> tuple[list[OllamaServer], list[Line]]:
    """Those of the servers that answer now, and a line for each that is passed over; all, if none answers
    or one is named."""
    await fleet.look(gateway, servers)
    awake = servers if how == "named" else fleet.awake(gateway, servers)
    silent = [server for server in servers if server not in awake]
    return awake, [{"status": f"passing over {server.name}, which does not answer"} for server in silent]


async def _has_parts(gateway: Gateway, server: OllamaServer, body: dict[str, Any]) -> bool:
    """Whether a server has the files, or the model, that another is to be made of."""
    base = body.get("from")
    if isinstance(base, str) and base and not fleet.listing_of(gateway, server).holds(base):
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


async def copy(context: RequestContext, only: str | None = None) -> Page:
    """Give a model a second name wherever it is."""
    gateway, fields = context.gateway, fields_of(context.body)
    source, destination = fields.get("source"), fields.get("destination")
    if not isinstance(source, str) or not isinstance(destination, str) or not (source and destination):
        raise CallerError("source and destination are required", param="source")
    servers, model = await _having(context, source, only, "copy")
    named = fleet.meant(gateway, destination, only, "copy to").model
    body = {"source": model, "destination": named}
    await _everywhere(gateway, servers, "POST", "/api/copy", body)
    return Page(b"", TEXT)


async def delete(context: RequestContext, only: str | None = None) -> Page:
    """Delete a model wherever it is."""
    fields = fields_of(context.body)
    servers, model = await _having(context, model_in(fields), only, "delete")
    await _everywhere(context.gateway, servers, "DELETE", "/api/delete", _naming({}, model))
    return Page(b"", TEXT)


async def has_blob(context: RequestContext, digest: str, only: str | None = None) -> Page:
    """200 if every server that would be given the file has it."""
    found = await _who_has(await _for_blob(context, digest, only), digest)
    return Page(b"", TEXT, 200 if all(has for _, has in found) else 404)


async def put_blob(context: RequestContext, digest: str, only: str | None = None) -> Page:
    """Give a file to the servers that lack it, as it comes in: it is kept nowhere on the way."""
    assert context.pieces is not None
    found = await _who_has(await _for_blob(context, digest, only), digest)
    lacking = [server for server, has in found if not has]
    if not lacking:
        return Page(b"", TEXT)
    await _spread(context.pieces, context.length, digest, lacking)
    return Page(b"", TEXT, 201)


async def _for_blob(context: RequestContext, digest: str, only: str | None) -> list[OllamaServer]:
    if not _DIGEST.fullmatch(digest):
        raise CallerError("invalid digest format", param="digest")
    servers = fleet.servers_of(context.gateway, only)
    if not servers:
        raise CallerError("There is no Ollama server to give files to")
    servers, how = fleet.chosen(context.gateway, servers, context.query.get("upstream"))
    if how != "named":
        servers = fleet.awake(context.gateway, servers)
    return fleet.roomiest(context.gateway, servers) if how == fleet.ROOM else servers


async def _who_has(servers: Sequence[OllamaServer], digest: str) -> list[tuple[OllamaServer, bool]]:
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


async def _spread(pieces: Pipe, size: int | None, digest: str, servers: Sequence[OllamaServer]) -> None:
    """Upload to all at once, at the pace of the slowest."""
    pipes = [_Branch() for _ in servers]
    uploads = [
        asyncio.ensure_future(server.upload(digest, size, pipe))
        for server, pipe in zip(servers, pipes, strict=True)
    ]
    for upload, pipe in zip(uploads, pipes, strict=True):
        upload.add_done_callback(pipe.leave)
    try:
        async for piece in pieces:
            for pipe in pipes:
                await pipe.put(piece)
            if all(upload.done() for upload in uploads):
                break
        for pipe in pipes:
            await pipe.put(None)
        await asyncio.gather(*uploads)
    finally:
        for upload in uploads:
            upload.cancel()
        await asyncio.gather(*uploads, return_exceptions=True)


class _Branch:
    """One server's share of an upload: an async iterator over the same pieces, a few ahead of it at most."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(4)
        self._left = asyncio.Event()

    async def put(self, piece: bytes | None) -> None:
        """Hand on a piece, as soon as there is room; None is the end."""
        if self._left.is_set():
            return
        putting = asyncio.ensure_future(self._queue.put(piece))
        leaving = asyncio.ensure_future(self._left.wait())
        await asyncio.wait({putting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()
        leaving.cancel()

    def leave(self, _: object) -> None:
        """The upload is over: nothing more is taken."""
        self._left.set()

    def __aiter__(self) -> _Branch:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._queue.get()
        if piece is None:
            raise StopAsyncIteration
        return piece


async def _having(
    context: RequestContext, name: str, only: str | None, verb: str
) -> tuple[list[OllamaServer], str]:
    """The servers that have the model; those that are named are taken at their word.

    Raises:
        CallerError: 404, none has it.
    """
    gateway = context.gateway
    await fleet.look(gateway, fleet.servers_of(gateway, only))
    servers, model = fleet.meant(gateway, name, only, verb)
    servers, _ = fleet.chosen(gateway, servers, context.query.get("upstream"))
    having = [server for server in servers if fleet.listing_of(gateway, server).holds(model)]
    if not having:
        raise fleet.not_found(model)
    return having, model


async def _everywhere(
    gateway: Gateway, servers: Sequence[OllamaServer], method: str, path: str, body: dict[str, Any]
) -> None:
    try:
        commands = (server.command(method, path, body) for server in servers)
        answers = await asyncio.gather(*commands, return_exceptions=True)
    finally:
        await fleet.look(gateway, servers)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer


def _naming(fields: dict[str, Any], model: str) -> dict[str, Any]:
    """The request as it came, with the model's name at its server."""
    return {name: value for name, value in fields.items() if name not in ("name", "stream")} | {
        "model": model
    }


async def _job(
    context: RequestContext,
    fields: dict[str, Any],
    servers: Sequence[OllamaServer],
    path: str,
    body: dict[str, Any],
    notes: Sequence[Line] = (),
) -> Answer:
    by_name = {server.name: server for server in servers}

    async def lines() -> AsyncGenerator[Line, None]:
        for note in notes:
            yield note
        try:
            async with aclosing(merge(list(by_name), work)) as merged:
                async for line in merged:
                    yield line
        except GatewayError:
            await fleet.look(context.gateway, servers)
            raise
        await fleet.look(context.gateway, servers)
        yield _DONE

    def work(name: str) -> AsyncGenerator[Line, None]:
        return by_name[name].progress(path, body)

    if fields.get("stream") is False:
        return json_page([line async for line in lines()][-1])
    return Progress(lines())
