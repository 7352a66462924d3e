"""One server of a fleet, for the management of its models: what is loaded, and pulls, pushes and their
progress.

Nothing here is on the data path. Pulls and uploads take as long as they take: a server at work may be silent
for ten minutes (it checks the digest of a large file), and a dead one is found by its connection.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama import error_text
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_TRUNCATED, GatewayError, ProviderError, redact
from trunkline.framing import NDJSONSplitter
from trunkline.providers.base import Upstream
from trunkline.providers.ollama.discovery import entries
from trunkline.transport import Timeouts

if TYPE_CHECKING:
    from trunkline.providers.ollama.provider import OllamaProvider

PATIENCE_S: Final = 600.0
"""Seconds for which a server at work may be silent."""
_LARGEST: Final = 64 * 1024 * 1024
"""Bytes of an answer that is read whole: ``show`` with all of a model's vocabulary."""


class OllamaServer:
    """One upstream of an Ollama provider.

    Raises:
        ProviderError: from every method that asks, with the server named in its text.
        CallerError: the server says that the request is wrong.
    """

    def __init__(self, provider: OllamaProvider, upstream: Upstream) -> None:
        self.provider = provider
        self.upstream = upstream
        self.name = upstream.name

    async def running(self) -> list[dict[str, Any]]:
        """The entries of its ``/api/ps``."""
        return entries(await self.provider.get_json(self.upstream, "/api/ps")) or []

    async def command(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """Send a command that is answered at once; returns the bytes of the answer."""
        encoded = None if body is None else msgspec.json.encode(body)
        request = self.provider.request_to(self.upstream, method, path, encoded, self._patient())
        try:
            answer = await self.provider.client.fetch(replace(request, max_body=_LARGEST))
            self._check(answer.status, answer.headers, answer.body)
        except GatewayError as error:
            raise self.provider.attributed(error) from None
        return answer.body

    async def progress(self, path: str, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """Start a pull, a push or a create, and yield the lines of its progress. The last one says
        ``success``."""
        encoded = msgspec.json.encode(body | {"stream": True})
        request = self.provider.request_to(self.upstream, "POST", path, encoded, self._patient())
        splitter, status = NDJSONSplitter(), None
        try:
            incoming = await self.provider.client.stream(request)
            try:
                if incoming.status >= 300:
                    self._check(incoming.status, incoming.headers, await incoming.body.read())
                async for data in incoming.body:
                    for record in splitter.feed(data):
                        line = _line(record)
                        status = line.get("status")
                        yield line
                for record in splitter.close():
                    line = _line(record)
                    status = line.get("status")
                    yield line
            finally:
                incoming.close()
            if status != "success":
                raise ProviderError("The answer broke off before the work was done", UPSTREAM_TRUNCATED)
        except GatewayError as error:
            raise self.provider.attributed(error) from None

    async def has_blob(self, digest: str) -> bool:
        """Whether it holds the file with this digest (``sha256:…``)."""
        request = self.provider.request_to(self.upstream, "HEAD", f"/api/blobs/{digest}")
        try:
            answer = await self.provider.client.fetch(request)
        except GatewayError as error:
            raise self.provider.attributed(error) from None
        return answer.status == 200

    async def upload(self, digest: str, size: int | None, pieces: AsyncIterable[bytes]) -> int:
        """Upload the file with this digest; returns the status (201, or 200 if the server had it)."""
        path = f"/api/blobs/{digest}"
        request = self.provider.request_to(self.upstream, "POST", path, None, self._patient())
        try:
            answer = await self.provider.client.upload(request, size, pieces)
            self._check(answer.status, answer.headers, answer.body)
        except GatewayError as error:
            raise self.provider.attributed(error) from None
        return answer.status

    def _patient(self) -> Timeouts:
        lookup = self.provider.limits.lookup
        names = lookup.names._replace(first_byte="", idle="")
        return replace(lookup, first_byte=PATIENCE_S, idle=PATIENCE_S, names=names)

    def _check(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if status >= 300:
            raise self.provider.back.read_error(status, headers, body)


def _line(record: bytes) -> dict[str, Any]:
    try:
        line = msgspec.json.decode(record, type=dict[str, Any])
    except UNREADABLE:
        raise ProviderError("It sent a line that is no JSON object", UPSTREAM_PROTOCOL) from None
    if line.get("error"):
        raise ProviderError(redact(error_text(line["error"])))
    return line
