"""Usage on its way to the database, kept in files until it is there.

A segment is an append-only file of batches, each behind its length. It is written by one process, which
holds a lock on it; one that nobody holds was left behind, and whoever finds it takes it over. Batches that
are in the database may still be in a segment: they are told by their first row's id.
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

SEGMENT_BYTES: Final = 1024 * 1024
"""Size above which a new segment is begun."""
_SUFFIX: Final = ".batches"

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[UsageRow]).decode

Batch = Sequence[UsageRow]


class Segment:
    """One file of batches, open and locked."""

    __slots__ = ("_fd", "closed", "cold", "path", "pending", "size", "strange", "whole")

    def __init__(self, path: Path, fd: int, *, cold: bool = False) -> None:
        self.path = path
        self._fd = fd
        self.size = os.fstat(fd).st_size
        self.closed = cold
        """Nothing more is appended."""
        self.cold = cold
        """Its batches are to be read from the file: memory does not have them (any more)."""
        self.whole = True
        """Its file has all of its batches."""
        self.strange = False
        """Not all of it could be understood: another version of this program has written it."""
        self.pending: deque[Batch] = deque()
        """Batches that are not in the database yet."""

    def append(self, batch: Batch) -> None:
        """Write a batch. Raises OSError where the disk does not take it; the file is then as before."""
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
        """All batches in the file that can be understood; a last one that was cut off is none."""
        with self.path.open("rb") as file:
            while size := int.from_bytes(file.read(4), "big"):
                data = file.read(size)
                if len(data) < size:
                    return
                try:
                    yield _decode(data)
                except msgspec.MsgspecError:
                    self.strange = True

    def close(self) -> None:
        """Let the file go, for whoever comes."""
        os.close(self._fd)

    def remove(self) -> None:
        """All of it is in the database, but for what could not be understood: that is kept, for people."""
        if self.strange:
            self.path.rename(self.path.with_suffix(".strange"))
        else:
            self.path.unlink(missing_ok=True)
        self.close()


class Journal:
    """The folder of segments, made when the first is begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self) -> Segment:
        """A new segment. Raises OSError where the folder cannot be made or written to."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns() // 1_000_000}-{secrets.token_hex(4)}{_SUFFIX}"
        path = self.folder / name
        new = path.with_suffix(".new")  # nobody takes it for one left behind before it is locked
        fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            new.rename(path)
        except OSError:
            os.close(fd)
            raise
        return Segment(path, fd)

    def orphans(self) -> list[Segment]:
        """Segments that were left behind, oldest first; they are this process's from now on."""
        found = []
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
                found.append(Segment(path, fd, cold=True))
            else:  # whoever held it has just removed it
                os.close(fd)
        return found
