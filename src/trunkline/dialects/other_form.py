"""Answers of the other form: a whole JSON body where a stream was asked for, or a stream in place of a body.

Servers that do not know how to stream, and gateways before them that report an error, answer in one JSON
body; others stream whatever was asked. The first bytes of an answer tell which of the two it is, and they are
right more often than its content type. Who meets the other form raises :class:`OtherForm`, and the
exchange goes on with a reader for it.
"""

from __future__ import annotations

import re
from typing import Final

USUAL_BEGIN: Final = b"de:"
"""The first bytes of nearly every stream of events: of ``data``, ``event`` and a comment."""
_BOM: Final = b"\xef\xbb\xbf"
_FIELDS: Final = (b"data:", b"event:", b"id:", b"retry:")
_EVENTS: Final = re.compile(rb"(?:data|event|id|retry)\s*:")


class OtherForm(Exception):  # noqa: N818 - a turn of the way, no error
    """The answer is of the other form.

    Args:
        data: All bytes of the answer so far.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__("the answer is of the other form")
        self.data = data


def without_comments(body: bytes) -> bytes:
    """Return a body from its first line that is neither blank nor a comment of a stream of events."""
    rest = body.removeprefix(_BOM).lstrip()
    while rest.startswith(b":"):
        rest = rest.partition(b"\n")[2].lstrip()
    return rest


def refuse_body(data: bytes) -> None:
    """Check the first bytes of a stream of events.

    Raises:
        OtherForm: They begin a JSON object or list, or a page of HTML, which no such stream does.
    """
    if without_comments(data)[:1] in (b"{", b"[", b"<"):
        raise OtherForm(data)


def refuse_text(rest: bytes) -> None:
    """Check what is left at the end of a stream of events that had none.

    Raises:
        OtherForm: It is a text or a body.
    """
    rest = without_comments(rest)
    is_cut = any(field.startswith(rest) for field in _FIELDS)
    if rest and not is_cut and not begins_events(rest):
        raise OtherForm(rest)


def begins_events(data: bytes) -> bool:
    """Whether these bytes begin a stream of server-sent events."""
    return _EVENTS.match(without_comments(data)) is not None


def is_body(line: bytes, *, may_go_on: bool) -> bool:
    """Whether the first line of what should be a stream of lines belongs to a body.

    Args:
        line: It cannot be decoded.
        may_go_on: The line has ended, and others may follow; without its end it is half of an object.
    """
    line = line.strip()
    return line == b"{" if may_go_on and line[:1] in (b"{", b"[") else line[:1] not in (b"{", b"[")


def is_lines(body: bytes) -> bool:
    """Whether a body consists of several objects, one a line."""
    first, _, rest = body.strip().partition(b"\n")
    return first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")
