"""The ledger of a running gateway: rows in, at once on disk, soon in the database.

``put`` is called on the event loop: it appends a batch to the journal and wakes the writer's thread, which
puts what is pending into the database in one transaction. While the database is away the journal grows, and
memory does not. What a process leaves behind when it is killed, the next one finds.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from trunkline.ledger.journal import SEGMENT_BYTES, Batch, Journal, Segment
from trunkline.ledger.locate import StoreError
from trunkline.ledger.recording import Recording
from trunkline.ledger.usage_rows import UsageRow

RETRY_S: Final = 1.0
"""Seconds between two tries while the database is away."""
ORPHANS_EVERY_S: Final = 30.0
"""Seconds between two looks for what killed processes left behind."""
PAUSE_S: Final = 0.2
"""Seconds in which rows gather for one transaction."""
MOST_ROWS: Final = 5000
"""Rows in one transaction, about."""
MOST_HELD: Final = 100_000
"""Rows in memory while neither the database nor the disk takes any; what comes beyond it is lost."""

log: Final = structlog.stdlib.get_logger(__name__)


class Ledger:
    """See the module. One per process."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        retention_days: int = 0,
        open_store: Callable[[str], Recording] = Recording,
    ) -> None:
        """``retention_days``: for how long single requests are kept; 0 is for ever."""
        self._url = url
        self._retention_days = retention_days
        self._open_store = open_store
        self._store: Recording | None = None
        self._journal = Journal(folder)
        self._segments: deque[Segment] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._complained = -math.inf
        self._held = 0
        self.away = False
        """The database did not take the last batch."""
        self.lost = 0
        """Rows that neither the database nor the disk took."""
        self.ready = threading.Event()
        """What was left behind by earlier processes is in the database."""

    @property
    def waiting(self) -> int:
        """Bytes of usage that are not known to be in the database."""
        with self._lock:
            return sum(each.size for each in self._segments if each.cold or each.pending)

    def open(self) -> None:
        """Open the journal. Raises OSError where its folder cannot be made or written to."""
        if not self._segments:
            self._segments.append(self._journal.begin())

    def start(self) -> None:
        """Begin to write. Raises OSError as :meth:`open` does."""
        self.open()
        self._thread.start()

    def put(self, rows: Sequence[UsageRow]) -> None:
        """Take a batch. Never waits for the database, never raises."""
        with self._lock:
            if not self._segments:  # closed
                self.lost += len(rows)
                return
            segment = self._segments[-1]
            try:
                if segment.size > SEGMENT_BYTES:
                    segment = self._rotate(segment)
                segment.append(rows)
            except OSError as error:
                self._complain(error, len(rows))
                if self._held > MOST_HELD:
                    self.lost += len(rows)
                    return
                segment.whole = False
            segment.pending.append(rows)
            self._held += len(rows)
        self._wake.set()

    def _rotate(self, full: Segment) -> Segment:
        new = self._journal.begin()
        full.closed = True
        if len(self._segments) > 1 and full.whole:  # the writer is not there yet: it will read the file
            full.cold = True
            self._held -= sum(map(len, full.pending))
            full.pending.clear()
        self._segments.append(new)
        return new

    def _complain(self, error: OSError, rows: int) -> None:
        now = time.monotonic()
        if now - self._complained > 10:
            self._complained = now
            log.critical("usage cannot be kept on disk", reason=error.strerror, rows=rows, lost=self.lost)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write the rest; what the database does not take in time stays in the journal."""
        self._deadline = time.monotonic() + timeout_s
        self._closing = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s + 1.0)
        if not self._thread.is_alive():
            with self._lock:
                for segment in self._segments:
                    if segment.cold or segment.pending:
                        segment.close()
                    else:
                        segment.remove()
                self._segments.clear()

    # The writer's thread

    def _run(self) -> None:
        looked = cleaned = -math.inf
        while True:
            now = time.monotonic()
            try:
                if now - looked > ORPHANS_EVERY_S:
                    looked = now
                    self._adopt()
                self._drain()
                if self.away:
                    self.away = False
                    log.info("the database takes usage again")
                self.ready.set()
                if not self._closing and now - cleaned > 3600:
                    cleaned = now
                    self._clean()
            except StoreError as error:
                if not self.away:
                    self.away = True
                    log.error("the database does not take usage; it is kept on disk", reason=str(error))
            except Exception:
                self.away = True
                log.exception("usage could not be written; it is kept on disk")
            if self._closing and (not self._left() or time.monotonic() > self._deadline):
                break
            self._wait()
        if self._store is not None:
            self._store.close()

    def _wait(self) -> None:
        if self.away:
            until = time.monotonic() + RETRY_S
            while not self._closing and (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 0.1))
            if self._closing:
                time.sleep(0.1)
        elif not self._closing:
            self._wake.wait(ORPHANS_EVERY_S)
            self._wake.clear()
            if not self._closing:
                time.sleep(PAUSE_S)

    def _left(self) -> bool:
        with self._lock:
            return any(each.cold or each.pending for each in self._segments)

    def _adopt(self) -> None:
        orphans = self._journal.orphans()
        if orphans:
            log.info("usage was left behind; it is written now", files=len(orphans))
            with self._lock:
                self._segments.extendleft(reversed(orphans))

    def _drain(self) -> None:
        """Write what is there, oldest first. Raises StoreError where the database fails."""
        store = self._store
        if store is None:
            store = self._store = self._open_store(self._url)
        while True:
            with self._lock:
                segment = self._segments[0]
                batches = [] if segment.cold else next(_portions(segment.pending), [])
                done = not segment.cold and not batches
                if done and not segment.closed:
                    return
            if segment.cold:
                for some in _portions(segment.read()):
                    store.write(some, again=True)
                if segment.strange:
                    text = "usage that another version has written cannot be read; its file is kept"
                    log.critical(text, folder=str(segment.path.parent))
                done = True
            elif batches:
                self._write(store, segment, batches)
            if done:
                with self._lock:
                    self._segments.popleft()
                segment.remove()

    def _write(self, store: Recording, segment: Segment, batches: list[Batch]) -> None:
        store.write(batches, again=self.away)
        with self._lock:
            for batch in batches:
                segment.pending.popleft()
                self._held -= len(batch)

    def _clean(self) -> None:
        if self._retention_days and self._store is not None:
            before = int((time.time() - self._retention_days * 86400) * 1000)
            self._store.forget(before, self._others_first)

    def _others_first(self) -> bool:
        """Between two transactions of a long clean-up: what has come meanwhile is written."""
        time.sleep(0.05)  # other processes want to write too
        self._drain()
        return not self._closing


def _portions(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """As many batches as one transaction takes, and again."""
    some: list[Batch] = []
    rows = 0
    for batch in batches:
        some.append(batch)
        rows += len(batch)
        if rows >= MOST_ROWS:
            yield some
            some, rows = [], 0
    if some:
        yield some
