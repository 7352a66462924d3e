"""Writes the bytes of a log to a file descriptor without ever blocking the event loop.

A plain write to a pipe that nobody reads would block for ever. A pipe that is writable takes PIPE_BUF bytes
at once, so it gets whole lines in pieces of at most that size. What it does not take is kept for later.
"""

from __future__ import annotations

import os
import select
import stat
from typing import Final

_PIPE_PIECE_BYTES: Final = min(select.PIPE_BUF, 4096)


class Sink:
    """Buffers lines for a file descriptor, which the caller owns and closes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._piece_bytes = None if stat.S_ISREG(os.fstat(fd).st_mode) else _PIPE_PIECE_BYTES
        self._buffer = b""
        self.lost = 0
        """The number of lines that could not be written, because the disk was full or the reader had
        closed."""

    @property
    def is_empty(self) -> bool:
        """Whether all lines are written."""
        return not self._buffer

    def write(self, lines: bytes) -> None:
        """Take lines, each with its line end, and write as much as is possible without blocking."""
        self._buffer += lines
        self.drain()

    def drain(self, wait_s: float = 0.0) -> bool:
        """Write what is buffered.

        Args:
            wait_s: The seconds to wait until the descriptor takes the next piece.

        Returns:
            Whether all lines are written.
        """
        data, start = self._buffer, 0
        try:
            while start < len(data) and self._poll.poll(wait_s * 1000):
                start += os.write(self._fd, data[start : self._piece_end(data, start)])
        except OSError:
            self.lost += data.count(b"\n", start)
            start = len(data)
        self._buffer = data[start:]
        return not self._buffer

    def _piece_end(self, data: bytes, start: int) -> int:
        """Find the end of the next piece: the end of its last line, so that other writers split no lines.

        A piece without a line end is cut at its maximum size.
        """
        if self._piece_bytes is None:
            return len(data)
        end = start + self._piece_bytes
        return data.rfind(b"\n", start, end) + 1 or end
