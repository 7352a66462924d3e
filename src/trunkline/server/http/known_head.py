"""The head of a connection's last request, remembered: a client sends the same one again and again.

A head that equals the last one but for the length of its body needs no parser: its route was found and its
key was checked. That holds while routes, keys and settings are the same objects, and the key has not expired.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from trunkline.policy.auth import KeyRing, is_expired
from trunkline.server.http.request_head import RequestHead

if TYPE_CHECKING:
    from trunkline.server.http.admission import Admission
    from trunkline.server.http.dispatcher import Dispatcher

_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?(\d{1,15})\r\n", re.IGNORECASE)
_MENTION: Final = re.compile(rb"content-length|transfer-encoding|x-request-id", re.IGNORECASE)
"""Besides the length, what must not stand in such a head: it has one length, no chunks and no id."""
_MOST_DIGITS: Final = 15
_LONGEST: Final = 8 * 1024
"""Bytes of a head that is remembered; every connection has one."""


class KnownHead(msgspec.Struct, frozen=True, eq=False):
    """A head as it came, in two parts around the length of its body, and what was found in it."""

    before: bytes
    after: bytes
    head: RequestHead
    keys: KeyRing
    generations: tuple[object, object]
    """Of the keys and of the settings by which it was read."""
    longest: int
    """Bytes of a body that it may announce."""

    def find(self, data: bytes, dispatcher: Dispatcher) -> tuple[int, int] | None:
        """Where the body begins and how long it is, if ``data`` begins with this head and all that was found
        in it still holds."""
        if not data.startswith(self.before):
            return None
        start = len(self.before)
        end = data.find(b"\r", start, start + _MOST_DIGITS + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self.after, end):
            return None
        of_keys, of_settings = self.generations
        if self.keys.generation is not of_keys or dispatcher.generation is not of_settings:
            return None
        key, length = self.head.key, int(digits)
        if length > self.longest or (key is not None and key.expires_at is not None and is_expired(key)):
            return None
        return end + len(self.after), length


def remember(
    data: bytes, head: RequestHead, dispatcher: Dispatcher, admission: Admission
) -> KnownHead | None:
    """Remember the head with which ``data`` begins, and which was read as ``head``.

    Args:
        data: what came in one read, from the first byte of a request on.
        head: of a request over HTTP/1.1 on a connection that is kept.
        dispatcher: has read it.
        admission: has let it in.

    Returns:
        None for a head that is longer than most, not complete, of a request that no model is asked for, or
        with fields that say how its body comes or that are another's with every request.
    """
    size = data.find(b"\r\n\r\n", 0, _LONGEST) + 4
    route = head.route
    if size < 4 or head.error is not None or route is None or not route.asks_model:
        return None
    if head.length is None or head.expects_continue or head.traceparent is not None:
        return None
    raw = data[:size]
    found = _LENGTH.search(raw)
    if found is None or len(_MENTION.findall(raw)) != 1:
        return None
    generations = admission.keys.generation, dispatcher.generation
    before, after = raw[: found.start(1)], raw[found.end(1) :]
    headers = [field for field in head.request_headers if field[0] != b"content-length"]
    head = msgspec.structs.replace(head, request_headers=headers)
    return KnownHead(before, after, head, admission.keys, generations, admission.max_body)
