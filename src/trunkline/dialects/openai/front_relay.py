"""The other paths of OpenAI's API (audio, images, moderations, files), which are relayed both ways.

Of a request only the model is read, from JSON or from a form, and only the model's name is changed. Answers
may be anything. Source: OpenAI's published OpenAPI document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from trunkline.dialects.base import ClientConventions, FrontDefaults, RequestSummary, Writer
from trunkline.dialects.openai import errors
from trunkline.dialects.openai.parse import summarize_relayed
from trunkline.dialects.openai.request_schema import DIALECT
from trunkline.errors import INTERNAL, GatewayError
from trunkline.model import CanonicalRequest, Operation

RELAYED_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "/audio/speech": ("POST",),
    "/audio/transcriptions": ("POST",),
    "/audio/translations": ("POST",),
    "/images/generations": ("POST",),
    "/images/edits": ("POST",),
    "/images/variations": ("POST",),
    "/moderations": ("POST",),
    "/files": ("GET", "POST"),
}
"""The paths, and the methods that each has."""

FILE_METHODS: Final = ("GET", "DELETE")
"""The methods of one file's path."""
FILE_PATH: Final = re.compile(r"/files/[A-Za-z0-9_\-]{1,128}(/content)?")
"""The path of one file, or of its content. It admits no characters that could lead to another path."""


class RelayFront(FrontDefaults, msgspec.Struct, frozen=True):
    """One path; satisfies ``dialects.base.Front``."""

    subpath: str
    """The path below the upstream's base address."""
    method: str = "POST"

    dialect: ClassVar[str] = DIALECT
    operation: ClassVar[Operation] = "other"
    is_relayed: ClassVar[bool] = True
    has_countable_tokens: ClassVar[bool] = False
    may_name_no_model: ClassVar[bool] = True
    stream_type: ClassVar[bytes] = b"application/octet-stream"
    conventions: ClassVar[ClientConventions] = ClientConventions(
        forwarded_headers=frozenset({b"content-type", b"accept", b"openai-beta"}),
        forwarded_parameters=frozenset({b"purpose", b"limit", b"order", b"after"}),
    )

    def summarize(self, body: bytes) -> RequestSummary:
        """Read the model, and the user if the body is JSON."""
        return summarize_relayed(body)

    def parse(self, body: bytes) -> CanonicalRequest:
        """Refuse: nothing is translated from this path.

        Raises:
            GatewayError: Always.
        """
        raise GatewayError("This path of OpenAI's API is relayed only", INTERNAL)

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """Refuse: nothing is translated to this path.

        Raises:
            GatewayError: Always.
        """
        raise GatewayError("This path of OpenAI's API is relayed only", INTERNAL)

    def error_body(self, error: GatewayError) -> bytes:
        """Return OpenAI's error envelope."""
        return errors.error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """Return nothing: no error can be written into the middle of a sound, so the answer breaks off."""
        return b""
