"""A changed configuration, taken over by the running gateway: on a signal, a change of the file, on request.

Requests that are under way go on with the configuration that they began with; the next request finds the new
one. A configuration that cannot be read, or whose parts do not fit together, changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeAlias

import structlog

from trunkline.server.app.wiring import FIXED, differences
from trunkline.settings import Settings, SettingsError

INTERVAL_S: Final = 1.0
"""Seconds between two looks at the files."""

FileState: TypeAlias = tuple[int, int] | None
"""When a file was written (nanoseconds), and its size in bytes; None if it is not there."""

log: Final = structlog.stdlib.get_logger(__name__)


class Reconfigurable(Protocol):
    """What can go over to other settings: the gateway."""

    settings: Settings

    async def reconfigure(self, settings: Settings) -> None:
        """Go over to these settings."""


class Reloaded(NamedTuple):
    """The result of a reload."""

    changed: list[str]
    """Settings that are in force now."""
    at_next_start: list[str]
    """Settings that have changed and take effect only when the gateway starts again."""


class Reloader:
    """Takes over changed settings, one change after another."""

    def __init__(
        self, gateway: Reconfigurable, load: Callable[[], Settings], files: Sequence[Path] = ()
    ) -> None:
        """Reload on request; once :meth:`start` is called, also when a file changes.

        Args:
            gateway: takes the settings over.
            load: reads all settings again.
            files: are watched.
        """
        self._gateway = gateway
        self._load = load
        self._files = files
        self._lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._requested: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Watch the files."""
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def request(self) -> None:
        """Reload soon: for signal handlers. The result goes to the log."""
        task = asyncio.get_running_loop().create_task(self._try_reload())
        self._requested.add(task)
        task.add_done_callback(self._requested.discard)

    async def reload(self) -> Reloaded:
        """Read the settings and take them over.

        Raises:
            SettingsError: they are wrong; nothing has changed.
        """
        async with self._lock:
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
        """Stop watching."""
        tasks = [task for task in (self._watcher, *self._requested) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _try_reload(self) -> None:
        try:
            await self.reload()
        except SettingsError as error:
            log.error("the changed configuration is refused; the old one stays", problem=str(error))
        except Exception:
            log.exception("the configuration could not be taken over; the old one stays")

    async def _watch(self) -> None:
        before = self._file_states()
        while True:
            await asyncio.sleep(INTERVAL_S)
            now = self._file_states()
            if now != before:
                before = now
                await self._try_reload()

    def _file_states(self) -> list[FileState]:
        states: list[FileState] = []
        for path in self._watched_files():
            try:
                stat = path.stat()
                states.append((stat.st_mtime_ns, stat.st_size))
            except OSError:
                states.append(None)
        return states

    def _watched_files(self) -> list[Path]:
        models_filter = self._gateway.settings.models_filter
        return [*self._files, *([] if models_filter is None else [models_filter])]
