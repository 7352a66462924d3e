"""The Responses API as upstreams speak it, for clients who speak it too: the way past us.

Nobody else is answered through it: every upstream that has it has another dialect besides, in which the
clients of other dialects are served.
"""

from __future__ import annotations

from typing import Final, NoReturn

from trunkline.dialects.base import Headers, Inspector, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.body_patch import rewritten
from trunkline.dialects.responses.errors import read_error
from trunkline.dialects.responses.inspect import StreamInspector, WholeInspector
from trunkline.errors import INTERNAL, GatewayError
from trunkline.model import CanonicalRequest, Operation

_PATH: Final = "/responses"


class ResponsesBack:
    """The Responses dialect as one upstream speaks it; satisfies ``dialects.base.Back``.

    Args:
        who: the upstream's name in error texts.
        base: what stands before the path below the provider's base address.
        routes: it takes OpenRouter's ``provider`` object.
    """

    dialect = "responses"
    opening = 4
    """``response.created`` and ``.in_progress``, the first item and its first part."""

    def __init__(self, who: str = "The upstream", base: str = "", *, routes: bool = False) -> None:
        self.who = who
        self.base = base
        self.routes = routes

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """The path below the base address: chats have one, nothing else does."""
        return self.base + _PATH if operation == "chat" else None

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """Nothing is rendered in this dialect.

        Raises:
            GatewayError: always; whoever asks has chosen the wrong dialect.
        """
        self._refuse()

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """Nothing is read in this dialect.

        Raises:
            GatewayError: always; whoever asks has chosen the wrong dialect.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        text = f"{self.who} is asked in the Responses dialect by clients of that dialect only"
        raise GatewayError(text, INTERNAL)

    def rewrite(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """The client's own bytes, changed only in the model and in what a setting fills in or drops.

        Raises:
            CallerError: the body is not a JSON object.
        """
        return rewritten(body, summary, model, defaults, bound="max_output_tokens", routes=self.routes)

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """A scanner for an answer that passes through."""
        return StreamInspector(self.who) if summary.stream else WholeInspector(self.who)

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """The vendor's error answer as a value."""
        return read_error(status, headers, body, self.who)
