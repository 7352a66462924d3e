"""Records on the wire, SSE and NDJSON: bytes go in, records come out, whatever the chunk boundaries.

A splitter holds the bytes of the record that has not ended yet, and nothing else: it knows no JSON, no
dialects and no sockets. ``feed`` takes what arrives and returns the records that became complete, in order.
``close`` returns what remains when the body ends; whether that is a whole record is decided by the caller's
JSON decoder. SSE is read as the HTML standard's "event stream" chapter says, without the fields ``event``,
``id`` and ``retry``: no LLM dialect needs them, because the payload names its own type.
"""

from __future__ import annotations

from typing import Final

from trunkline.errors import UPSTREAM_TOO_LARGE, ProviderError

MAX_RECORD: Final = 16 * 1024 * 1024
"""Bytes of the longest record that is taken. A longer one is the upstream's fault; it is not buffered."""

_BOM: Final = b"\xef\xbb\xbf"
_EVENT_ENDS: Final = (b"\n\n", b"\n\r\n", b"\r\r")


class _Splitter:
    """Holds an unfinished record, whose pieces are joined only when its end may have arrived."""

    __slots__ = ("_pieces", "_size", "limit")

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.limit = limit

    @property
    def held(self) -> bytes:
        """The record that has not ended yet."""
        return b"".join(self._pieces)

    @property
    def is_empty(self) -> bool:
        """Whether no unfinished record is held."""
        return not self._pieces

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > self.limit:
                raise ProviderError(
                    f"The upstream sent a record of more than {self.limit} bytes", UPSTREAM_TOO_LARGE
                )

    def _is_open(self, chunk: bytes) -> bool:
        """Whether no blank line ends in ``chunk``: then there is nothing to join yet."""
        pieces = self._pieces
        if pieces:
            before = pieces[-1][-2:]
            if len(before) < 2 and len(pieces) > 1:
                before = pieces[-2][-1:] + before
            chunk = before + chunk
        return b"\n\n" not in chunk and b"\n\r" not in chunk and b"\r\r" not in chunk

    def _take(self, chunk: bytes) -> bytes:
        """Return the pieces joined with ``chunk``; none is held afterwards."""
        if not self._pieces:
            return chunk
        self._pieces.append(chunk)
        joined = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return joined


class NDJSONSplitter(_Splitter):
    """Splits newline-delimited JSON into its lines. Blank lines are skipped."""

    __slots__ = ()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` completes, without their newline.

        Raises:
            ProviderError: A line is longer than the limit.
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
    """Splits server-sent events into their payloads, the joined ``data`` lines. Comments and blank events are
    skipped."""

    __slots__ = ()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the payloads that ``chunk`` completes.

        Raises:
            ProviderError: An event is longer than the limit.
        """
        if not self._pieces and chunk.endswith(b"\n\n") and b"\r" not in chunk:
            events = chunk[:-2].split(b"\n\n")
        elif self._is_open(chunk):
            self._hold(chunk)
            return []
        else:
            text, tail = self._take(chunk), b""
            if b"\r" in text:
                if text.endswith(b"\r"):  # perhaps half of a line's end
                    text, tail = text[:-1], b"\r"
                text = _normalize_line_ends(text)
            events = text.split(b"\n\n")
            self._hold(events.pop() + tail)
        return [payload for event in events if (payload := extract_payload(event))]

    def close(self) -> list[bytes]:
        """Return the payload of an event whose closing blank line never came, if there is one."""
        rest = extract_payload(_normalize_line_ends(self._take(b"")))
        return [rest] if rest else []


class SSEForwarder(_Splitter):
    """Passes server-sent events on as they came, and never a part of one."""

    __slots__ = ()

    @property
    def pieces(self) -> list[bytes]:
        """Pieces of the event that has not ended yet: the same list at any time."""
        return self._pieces

    def feed(self, chunk: bytes) -> bytes:
        """Return all events that are whole now, unchanged.

        Raises:
            ProviderError: An event is longer than the limit.
        """
        if not self._pieces and chunk.endswith(b"\n\n"):
            return chunk
        if self._is_open(chunk):
            self._hold(chunk)
            return b""
        text = self._take(chunk)
        end = max(
            (start + len(ending) for ending in _EVENT_ENDS if (start := text.rfind(ending)) >= 0), default=0
        )
        self._hold(text[end:])
        return text[:end]

    def close(self) -> bytes:
        """Return what the end of the body left unfinished."""
        return self._take(b"")


def split_events(data: bytes) -> list[bytes]:
    """Return whole events one by one, their lines ended by ``\\n``, without the blank line at their end."""
    text = _normalize_line_ends(data) if b"\r" in data else data
    return [event for event in text.split(b"\n\n") if event.strip(b"\n")]


def extract_payload(event: bytes) -> bytes:
    """Return the joined ``data`` lines of one event whose lines end in ``\\n``; empty if it has none."""
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [
        line[6:] if line.startswith(b"data: ") else line[5:]
        for line in event.removeprefix(_BOM).split(b"\n")
        if line.startswith(b"data:")
    ]
    return b"\n".join(lines)


def _normalize_line_ends(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def is_heartbeat(data: bytes) -> bool:
    """Whether a piece of a whole JSON answer has no content: blanks, or a comment, which some servers send
    to keep the connection open while the model thinks."""
    return data.isspace() or data.lstrip().startswith(b":")


def sse(payload: bytes) -> bytes:
    """Return ``payload`` as one server-sent event."""
    return b"data: " + payload + b"\n\n"
