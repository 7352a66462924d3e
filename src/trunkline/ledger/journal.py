"""The journal: files in which usage rows wait until they are in the database.

A segment is an append-only file of batches, each preceded by its length. One process writes a segment and
holds a lock on it. A segment that nobody has locked was abandoned by its process, and whoever finds it takes
it over. A segment may hold batches that are in the database already; these are recognised by the id of their
first row.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from trunkline.ledger.usage_rows import UsageRow

MAX_SEGMENT_BYTES: Final = 1024 * 1024
"""The size above which a new segment is started."""
_SUFFIX: Final = ".batches"

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[UsageRow]).decode

Batch = Sequence[UsageRow]


class Segment:
    """One file of batches, open and locked."""

    __slots__ = ("_fd", "closed", "complete", "has_unreadable", "in_file_only", "path", "pending", "size")

    def __init__(self, path: Path, fd: int, *, abandoned: bool = False) -> None:
        self.path = path
        self._fd = fd
        self.size = os.fstat(fd).st_size
        self.closed = abandoned
        """Whether no more batches are appended."""
        self.in_file_only = abandoned
        """Whether its batches have to be read from the file, because they are not, or no longer, in
        memory."""
        self.complete = True
        """Whether the file has all of its batches."""
        self.has_unreadable = False
        """Whether a batch could not be decoded, because another version of Trunkline has written it."""
        self.pending: deque[Batch] = deque()
        """The batches that are not in the database yet."""

    def append(self, batch: Batch) -> None:
        """Write a batch to the file.

        Raises:
            OSError: The disk does not take the batch. The file is then as it was before.
        """
        data = _encode(batch)
        data = len(data).to_bytes(4, "big") + data
        try:
            written = os.write(self._fd, data)
            if written < len(data):
                raise OSError(28, "no space left on the device")
        except OSError:
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(data)

    def read(self) -> Iterator[Batch]:
        """Return the batches in the file, without those that cannot be decoded and a truncated last one."""
        with self.path.open("rb") as file:
            while size := int.from_bytes(file.read(4), "big"):
                data = file.read(size)
                if len(data) < size:
                    return
                try:
                    yield _decode(data)
                except msgspec.MsgspecError:
                    self.has_unreadable = True

    def close(self) -> None:
        """Close and unlock the file, so that another process can take it over."""
        os.close(self._fd)

    def remove(self) -> None:
        """Delete the file, whose batches are in the database, and close it.

        A file with batches that could not be decoded is kept under another name, for an operator to look at.
        """
        if self.has_unreadable:
            self.path.rename(self.path.with_suffix(".strange"))
        else:
            self.path.unlink(missing_ok=True)
        self.close()


class Journal:
    """The folder of segments. It is created together with the first segment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create_segment(self) -> Segment:
        """Create a segment.

        Raises:
            OSError: The folder cannot be created or written to.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns() // 1_000_000}-{secrets.token_hex(4)}{_SUFFIX}"
        path = self.folder / name
        new = path.with_suffix(".new")  # until it is locked, nobody must take it for an abandoned segment
        fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(path)
        except OSError:
            os.close(fd)
            raise
        return Segment(path, fd)

    def claim_abandoned_segments(self) -> list[Segment]:
        """Lock the segments that other processes have abandoned, and return them, oldest first."""
        claimed = []
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            try:
                fd = os.open(path, os.O_RDWR | os.O_APPEND)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            if os.fstat(fd).st_nlink:
                claimed.append(Segment(path, fd, abandoned=True))
            else:  # its owner has just removed it
                os.close(fd)
        return claimed
