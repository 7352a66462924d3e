"""Records on the wire: SSE and NDJSON, bytes in, payloads out, whatever the chunk boundaries.

A splitter owns the bytes of a record that has not ended yet, and nothing else: it does not know JSON,
dialects or sockets. Feed it what arrives; it returns the payloads that became complete, in order. What
remains when the body ends comes out of :meth:`close`; whether that is a whole record is for the caller's
JSON decoder to say. SSE is read as the HTML standard's "event stream" chapter has it, but for the fields
``event``, ``id`` and ``retry``, which no LLM dialect needs: the payload's own type says what it is.
"""

from __future__ import annotations

from typing import Final

from trunkline.errors import UPSTREAM_TOO_LARGE, ProviderError

MAX_RECORD: Final = 16 * 1024 * 1024
"""Bytes of the longest record taken; a longer one is an upstream's fault, not a reason to grow."""


class _Splitter:
    """Holds an unfinished record, joined only when its end may have arrived."""

    __slots__ = ("_held", "_pieces", "limit")

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self.limit = limit

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
            if self._held > self.limit:
                raise ProviderError(
                    f"The upstream sent a record of more than {self.limit} bytes", UPSTREAM_TOO_LARGE
                )

    def _take(self, chunk: bytes) -> bytes:
        if not self._pieces:
            return chunk
        self._pieces.append(chunk)
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        return joined


class NDJSONSplitter(_Splitter):
    """Lines of newline-delimited JSON. Blank lines are passed over."""

    __slots__ = ()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` completes, without their newline.

        Raises:
            ProviderError: a line is longer than the limit.
        """
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        lines = self._take(chunk).split(b"\n")
        self._hold(lines.pop())
        return [line for line in lines if line and not line.isspace()]

    def close(self) -> list[bytes]:
        """Return the line that the end of the body cut off, if there is one."""
        rest = self._take(b"")
        return [rest] if rest.strip() else []


class SSESplitter(_Splitter):
    """Payloads (the joined ``data`` lines) of server-sent events. Comments and blank events vanish."""

    __slots__ = ()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads that ``chunk`` completes.

        Raises:
            ProviderError: an event is longer than the limit.
        """
        if not self._pieces and chunk.endswith(b"\n\n") and b"\r" not in chunk:
            blocks = chunk[:-2].split(b"\n\n")
        elif b"\n" not in chunk and b"\r" not in chunk:
            self._hold(chunk)
            return []
        else:
            text = self._take(chunk)
            if b"\r" in text:
                text, tail = (text[:-1], b"\r") if text.endswith(b"\r") else (text, b"")
                text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            else:
                tail = b""
            blocks = text.split(b"\n\n")
            self._hold(blocks.pop() + tail)
        payloads = []
        for block in blocks:
            payload = _payload(block)
            if payload is not None:
                payloads.append(payload)
        return payloads

    def close(self) -> list[bytes]:
        """Return the payload of an event whose closing blank line never came, if there is one."""
        rest = self._take(b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        payload = _payload(rest)
        return [] if payload is None else [payload]


def _payload(block: bytes) -> bytes | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return block[6:]
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in block.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines) if lines else None


def sse(payload: bytes) -> bytes:
    """``payload`` as one event."""
    return b"data: " + payload + b"\n\n"


def sse_comment(text: bytes) -> bytes:
    """A comment line: keeps a connection awake and says nothing."""
    return b": " + text + b"\n\n"
