"""A mock's answers without a socket."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from trunkline_mock import MockUpstream, RecordedRequest
from trunkline_mock.recording import ConnectionState
from trunkline_mock.steps import Write


class Answer(NamedTuple):
    """One HTTP answer."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def content_type(self) -> str:
        return dict(self.headers)[b"content-type"].decode()


def answer(mock: MockUpstream, path: str, body: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """What ``mock`` answers to a POST; it need not be started.

    Args:
        mock: The mock; it records the request.
        path: The path.
        body: The body, as bytes or as a value to encode.
        headers: Headers, with their names in lower case.
    """
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    request = RecordedRequest("POST", path, list(headers), data, ConnectionState(1))
    steps = mock.respond(request, keep_alive=False, http_1_0=True)
    sent = b"".join(step.data for step in steps if isinstance(step, Write))
    head, _, content = sent.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    pairs = (line.partition(b": ") for line in lines)
    return Answer(int(status.split()[1]), tuple((name.lower(), value) for name, _, value in pairs), content)
