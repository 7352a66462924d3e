"""A file descriptor to write log bytes to without ever making the event loop wait.

A pipe that nobody reads would block a plain write for ever. So a pipe gets whole lines in pieces that it
takes at once (at most PIPE_BUF bytes when it says that it is writable), and the rest is kept for later.
Knows nothing of what the lines say.
"""

from __future__ import annotations

import os
import select
import stat
from typing import Final

_PIECE: Final = min(select.PIPE_BUF, 4096)


class Sink:
    """Lines on their way to a file descriptor, which stays its owner's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._piece = None if stat.S_ISREG(os.fstat(fd).st_mode) else _PIECE
        self._rest = b""
        self.lost = 0
        """Lines that could not be written because the descriptor failed (disk full, reader gone)."""

    @property
    def clear(self) -> bool:
        """Whether all that was given is written."""
        return not self._rest

    def write(self, lines: bytes) -> None:
        """Take ``lines``, each with its line end, and write of them what goes without waiting."""
        self._rest += lines
        self.drain()

    def drain(self, wait_s: float = 0.0) -> bool:
        """Write what is left; give each piece ``wait_s`` seconds. Tells whether all is written."""
        data, start = self._rest, 0
        try:
            while start < len(data) and self._poll.poll(wait_s * 1000):
                start += os.write(self._fd, data[start : self._cut(data, start)])
        except OSError:
            self.lost += data.count(b"\n", start)
            start = len(data)
        self._rest = data[start:]
        return not self._rest

    def _cut(self, data: bytes, start: int) -> int:
        """Where the next piece ends: after a line if it holds one, so that no other writer cuts in."""
        if self._piece is None:
            return len(data)
        end = start + self._piece
        return data.rfind(b"\n", start, end) + 1 or end
