"""The store of state that clients refer to later. It is bounded by time, and by size in all and for each key.

Every entry belongs to an owner, which is the id of a key. Nothing can be found without the owner's id. Where
nodes share a Redis, that is the store. Otherwise entries are in memory, and on disk behind it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey

_OVERHEAD: Final = 256
"""Bytes that an entry takes beside its data."""


class Bounds(NamedTuple):
    """How much is stored, and for how long."""

    ttl_s: float = 30 * 86400.0
    """Seconds for which an entry is kept."""
    memory_bytes: int = 64 * 1024 * 1024
    disk_bytes: int = 512 * 1024 * 1024
    """Zero: nothing is written to disk."""
    key_bytes: int = 64 * 1024 * 1024
    """The most for one key, in memory and on disk."""


def owner_of(key: ApiKey | None) -> str:
    """Whose an entry is: the key's that the request was sent with, or everybody's where none is needed."""
    return "" if key is None else key.id


class Entry(NamedTuple):
    """One entry."""

    data: bytes
    until: float
    """The Unix time at which it is forgotten."""


class Backing(Protocol):
    """What is behind the memory. It is told of every change in order."""

    is_shared: bool
    """Other processes change it too, so that nothing of it is kept in memory."""

    async def load(self, owner: str, name: str) -> Entry | None:
        """Find an entry, which may be over its time."""

    def save(self, owner: str, name: str, entry: Entry) -> None:
        """Write an entry, some time soon."""

    def delete(self, owner: str, name: str) -> None:
        """Forget an entry, some time soon."""

    def resize(self, bounds: Bounds) -> None:
        """From now on, these bounds."""

    async def aclose(self) -> None:
        """Write what is still to be written, and close."""


class StateStore:
    """The store."""

    def __init__(
        self,
        backing: Backing | None = None,
        bounds: Bounds = Bounds(),  # noqa: B008 - immutable
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            backing: what is behind the memory, if anything is.
            bounds: how much is stored.
            clock: tells the Unix time.
        """
        self._backing = backing
        self._in_memory = backing is None or not backing.is_shared
        self._clock = clock
        self._owners: dict[str, OrderedDict[str, Entry]] = {}
        self._sizes: dict[str, int] = {}
        self.bytes = 0
        """What all entries in memory take."""
        self.resize(bounds)

    @property
    def largest(self) -> int:
        """Bytes of the largest entry that is stored."""
        return min(self.bounds.key_bytes, self.bounds.memory_bytes) // 4

    def resize(self, bounds: Bounds) -> None:
        """From now on, these bounds."""
        self.bounds = bounds
        if self._backing is not None:
            self._backing.resize(bounds)
        for owner in list(self._owners):
            self._shrink(owner)

    def put(self, owner: str, name: str, data: bytes) -> None:
        """Store an entry, in place of one of that name. One that is too large is not stored."""
        if len(data) > self.largest:
            return
        entry = Entry(data, self._clock() + self.bounds.ttl_s)
        if self._backing is not None:
            self._backing.save(owner, name, entry)
        if self._in_memory:
            self._remember(owner, name, entry)

    async def get(self, owner: str, name: str) -> bytes | None:
        """Find an entry of this owner's."""
        now = self._clock()
        entries = self._owners.get(owner)
        entry = None if entries is None else entries.get(name)
        if entry is not None and entries is not None and entry.until > now:
            entries.move_to_end(name)
            return entry.data
        if entry is not None:
            self._forget(owner, name)
        if self._backing is None:
            return None
        found = await self._backing.load(owner, name)
        if found is None or found.until <= now:
            return None
        if self._in_memory:
            self._remember(owner, name, found)
        return found.data

    def drop(self, owner: str, name: str) -> None:
        """Forget an entry, if it is there."""
        if name in self._owners.get(owner, ()):
            self._forget(owner, name)
        if self._backing is not None:
            self._backing.delete(owner, name)

    async def aclose(self) -> None:
        """Write what is still to be written, and close."""
        if self._backing is not None:
            await self._backing.aclose()

    def _remember(self, owner: str, name: str, entry: Entry) -> None:
        entries = self._owners.setdefault(owner, OrderedDict())
        if name in entries:
            self._forget(owner, name)
            entries = self._owners.setdefault(owner, entries)
        entries[name] = entry
        size = len(entry.data) + _OVERHEAD
        self.bytes += size
        self._sizes[owner] = self._sizes.get(owner, 0) + size
        self._shrink(owner)

    def _shrink(self, owner: str) -> None:
        """Forget what is too much: this owner's oldest, then the oldest of whoever has most."""
        while self._sizes.get(owner, 0) > self.bounds.key_bytes:
            self._forget(owner, next(iter(self._owners[owner])))
        while self.bytes > self.bounds.memory_bytes:
            most = max(self._sizes, key=self._sizes.__getitem__)
            self._forget(most, next(iter(self._owners[most])))

    def _forget(self, owner: str, name: str) -> None:
        entries = self._owners[owner]
        size = len(entries.pop(name).data) + _OVERHEAD
        self.bytes -= size
        self._sizes[owner] -= size
        if not entries:
            del self._owners[owner], self._sizes[owner]
