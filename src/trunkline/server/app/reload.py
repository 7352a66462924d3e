"""A changed configuration, taken over by the running gateway: on a signal, a change of the file, on request.

What runs goes on as it began; the next request finds the new configuration. One that cannot be read, or does
not fit together, changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from trunkline.server.app.wiring import FIXED, differences
from trunkline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from trunkline.server.app.gateway import Gateway

LOOK_EVERY_S: Final = 1.0
"""Seconds between two looks at the files."""

log: Final = structlog.stdlib.get_logger(__name__)


class Reloaded(NamedTuple):
    """What a reload came to."""

    changed: list[str]
    """Settings that are in force now."""
    at_next_start: list[str]
    """Settings that changed and cannot be, before the gateway starts anew."""


class Reloader:
    """Takes over changed settings, one change after another."""

    def __init__(self, gateway: Gateway, load: Callable[[], Settings], files: Sequence[Path] = ()) -> None:
        """``load`` reads all settings anew; ``files`` are watched."""
        self._gateway = gateway
        self._load = load
        self._files = files
        self._turn = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Watch the files."""
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def ask(self) -> None:
        """Reload soon: for signal handlers. The log says what it came to."""
        task = asyncio.get_running_loop().create_task(self._try())
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def reload(self) -> Reloaded:
        """Read the settings and take them over.

        Raises:
            SettingsError: they are wrong; nothing has changed.
        """
        async with self._turn:
            settings = await asyncio.to_thread(self._load)
            changed = differences(self._gateway.settings, settings)
            fixed = [name.upper() for name in changed if name in FIXED]
            free = [name.upper() for name in changed if name not in FIXED]
            await self._gateway.reconfigure(settings)
        log.info("configuration taken over", changed=free)
        if fixed:
            log.warning("these settings change with the next start only", settings=fixed)
        return Reloaded(free, fixed)

    async def aclose(self) -> None:
        """Watch no more."""
        tasks = [task for task in (self._watcher, *self._asked) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try(self) -> None:
        try:
            await self.reload()
        except SettingsError as error:
            log.error("the changed configuration is refused; the old one stays", problem=str(error))
        except Exception:
            log.exception("the configuration could not be taken over; the old one stays")

    async def _watch(self) -> None:
        seen = self._state()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = self._state()
            if now != seen:
                seen = now
                await self._try()

    def _state(self) -> list[tuple[int, int] | None]:
        """When each file was written, and its size."""
        found: list[tuple[int, int] | None] = []
        for path in self._watched():
            try:
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size))
            except OSError:
                found.append(None)
        return found

    def _watched(self) -> list[Path]:
        rules = self._gateway.settings.models_filter
        return [*self._files, *([] if rules is None else [rules])]
