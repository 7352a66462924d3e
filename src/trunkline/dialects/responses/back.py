"""The Responses API as upstreams speak it, for clients who speak it too: the way past us.

Nobody else is answered through it: every upstream that has it has another dialect besides, in which the
clients of other dialects are served.
"""

from __future__ import annotations

from typing import Final, NoReturn

from trunkline.dialects.base import Fills, Headers, Peek, Reader, Scanner
from trunkline.dialects.body_patch import rewritten
from trunkline.dialects.responses.errors import read_error
from trunkline.dialects.responses.inspect import StreamScanner, WholeScanner
from trunkline.errors import INTERNAL, GatewayError
from trunkline.model import Job, Operation

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

    def target(self, operation: Operation, job: Job | None) -> str | None:
        """The path below the base address: chats have one, nothing else does."""
        return self.base + _PATH if operation == "chat" else None

    def render(self, job: Job, model: str, stream: bool, fills: Fills) -> bytes:
        """Nothing is rendered in this dialect.

        Raises:
            GatewayError: always; whoever asks has chosen the wrong dialect.
        """
        self._refuse()

    def reader(self, job: Job, stream: bool) -> Reader:
        """Nothing is read in this dialect.

        Raises:
            GatewayError: always; whoever asks has chosen the wrong dialect.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        text = f"{self.who} is asked in the Responses dialect by clients of that dialect only"
        raise GatewayError(text, INTERNAL)

    def rewrite(self, body: bytes, peek: Peek, model: str, fills: Fills) -> bytes:
        """The client's own bytes, changed only in the model and in what a setting fills in or drops.

        Raises:
            CallerError: the body is not a JSON object.
        """
        return rewritten(body, peek, model, fills, bound="max_output_tokens", routes=self.routes)

    def scanner(self, operation: Operation, peek: Peek) -> Scanner:
        """A scanner for an answer that passes through."""
        return StreamScanner(self.who) if peek.stream else WholeScanner(self.who)

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """The vendor's error answer as a value."""
        return read_error(status, headers, body, self.who)
