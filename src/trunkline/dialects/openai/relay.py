"""The other paths of OpenAI's API (audio, images, moderations, files): relayed as they come, both ways.

All that is read of a request is its model, in JSON or in a form; all that is written is that model's name at
the upstream. Answers may be anything. Facts: OpenAI's published OpenAPI document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from trunkline.dialects.base import ClientConventions, RequestSummary, Writer
from trunkline.dialects.openai import write
from trunkline.errors import INTERNAL, INVALID_JSON, CallerError, GatewayError
from trunkline.model import CanonicalRequest, Operation, Usage

_MANNERS: Final = ClientConventions(
    passes=frozenset({b"content-type", b"accept", b"openai-beta"}),
    parameters=frozenset({b"purpose", b"limit", b"order", b"after"}),
)
_MODEL_PART: Final = re.compile(
    rb'(\r\ncontent-disposition: *form-data; *name="?model"?(?:;[^\r\n]*)?\r\n'  # its head, begun
    rb"(?:[^\r\n]+\r\n)*\r\n)"  # and ended
    rb"([^\r\n]*)",
    re.IGNORECASE,
)
"""The part of a form (RFC 7578) that names the model, and the name."""


class _Named(msgspec.Struct):
    model: str | None = None
    user: str | None = None


_decode: Final = msgspec.json.Decoder(_Named).decode
_RAW: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class OtherFront(NamedTuple):
    """One path; satisfies ``dialects.base.Front``."""

    path: str
    """Below the upstream's base address."""
    method: str = "POST"
    dialect: str = "openai"
    operation: Operation = "other"
    stream_type: bytes = b"application/octet-stream"
    home: str | None = None
    conventions: ClientConventions = _MANNERS

    def summarize(self, body: bytes) -> RequestSummary:
        """What routing needs."""
        if is_form(body):
            found = _MODEL_PART.search(body)
            return RequestSummary(
                model=None if found is None else found[2].decode("utf-8", "replace"), stream=False
            )
        if not body.strip():
            return RequestSummary(model=None, stream=False)
        try:
            seen = _decode(body)
        except (ValueError, RecursionError) as error:
            raise CallerError(f"The request body is not a JSON object: {error}", INVALID_JSON) from None
        return RequestSummary(model=seen.model, stream=False, user=seen.user)

    def parse(self, body: bytes) -> CanonicalRequest:
        """Nobody can be asked this in another dialect."""
        raise GatewayError("This path of OpenAI's API is relayed only", INTERNAL)

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """See :meth:`parse`."""
        raise GatewayError("This path of OpenAI's API is relayed only", INTERNAL)

    def loaded(self, request: CanonicalRequest, model: str) -> bytes | None:
        """OpenAI's API knows no loading."""
        return None

    def error(self, error: GatewayError) -> bytes:
        """OpenAI's error envelope."""
        return write.error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """Nothing can be said in the middle of a sound: the answer just breaks off."""
        return b""


OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
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
"""What one file can be asked."""
FILE: Final = re.compile(r"/files/[A-Za-z0-9_\-]{1,128}(/content)?")
"""The path of one file, or of what is in it: nothing in it leads anywhere else."""


def is_form(body: bytes) -> bool:
    """Whether a body is a form of several parts."""
    return body.startswith(b"--")


def renamed(body: bytes, model: str) -> bytes:
    """``body`` with ``model`` in the place of the model that it names."""
    if is_form(body):
        return _MODEL_PART.sub(lambda found: found[1] + model.encode(), body, count=1)
    fields = _RAW.decode(body)
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(fields)


class AnyScanner:
    """Bytes that mean nothing to us; they are whole when the body has ended cleanly."""

    def __init__(self) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None

    def feed(self, data: bytes) -> bytes:
        """All of them."""
        self.records += 1
        return data

    def close(self) -> bytes:
        """Nothing more."""
        self.complete = True
        return b""
