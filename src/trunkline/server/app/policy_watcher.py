"""The store's policies (keys, teams, limits, budgets), read again whenever they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Policies
from trunkline.ledger.reader import PolicyReader

INTERVAL_S: Final = 1.0
"""Seconds between two looks at the store: a revoked key is refused within two of them."""

T = TypeVar("T")

log: Final = structlog.stdlib.get_logger(__name__)


class PolicyWatcher:
    """Reads the policies at the start, and again when they have changed."""

    def __init__(self, reader: PolicyReader, apply: Callable[[Policies], None]) -> None:
        """Watch a store, once :meth:`start` is called.

        Args:
            reader: reads the store.
            apply: called with changed policies.
        """
        self._reader = reader
        self._apply = apply
        self._task: asyncio.Task[None] | None = None
        self._problem: str | None = None
        """Why the store could not be read at the last look; it is logged once."""

    async def load(self) -> Policies:
        """The policies as they are now."""
        return await self._call(self._reader.load)

    async def refresh(self) -> None:
        """Apply the policies as they are now."""
        self._apply(await self.load())

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def aclose(self) -> None:
        """Stop watching, and close the store."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._reader.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                changed = await self._call(self._load_if_changed)
                if changed is not None:
                    self._apply(changed)
            except Exception as error:  # The store is away.
                reason = str(error) if isinstance(error, StoreError) else type(error).__name__
                if reason != self._problem:
                    log.error("the key store cannot be read; what was read last still holds", reason=reason)
                self._problem = reason
            else:
                if self._problem is not None:
                    log.info("the key store can be read again")
                self._problem = None

    async def _call(self, read: Callable[[], T]) -> T:
        """The result of ``read``, without holding up the loop where it may wait for a network."""
        return await asyncio.to_thread(read) if self._reader.blocking else read()

    def _load_if_changed(self) -> Policies | None:
        return self._reader.load() if self._reader.has_changed() else None
