"""The ledger of a running gateway: takes usage rows, writes them to disk at once and to the database soon
after.

``put`` is called on the event loop. It appends a batch to the journal and wakes the writer's thread, which
puts the pending batches into the database in one transaction. While the database is unavailable, the journal
grows and memory does not. What a killed process leaves in the journal, the next process writes.
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

from trunkline.ledger.journal import MAX_SEGMENT_BYTES, Batch, Journal, Segment
from trunkline.ledger.locate import StoreError
from trunkline.ledger.usage_rows import UsageRow
from trunkline.ledger.usage_store import UsageStore

RETRY_INTERVAL_S: Final = 1.0
"""The seconds between two attempts while the database is unavailable."""
CLAIM_INTERVAL_S: Final = 30.0
"""The seconds between two searches for segments of killed processes."""
GATHER_S: Final = 0.2
"""The seconds for which rows are gathered for one transaction."""
MAX_TRANSACTION_ROWS: Final = 5000
"""The approximate maximum number of rows in one transaction."""
MAX_MEMORY_ROWS: Final = 100_000
"""The maximum number of rows in memory while neither the database nor the disk takes any. Further rows are
lost."""

log: Final = structlog.stdlib.get_logger(__name__)


class Ledger:
    """Writes the usage of one process.

    Args:
        url: The database's URL.
        folder: The journal's folder.
        retention_days: The number of days for which usage rows are kept; 0 keeps them for ever.
        open_store: Opens the usage in the database at a URL.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        retention_days: int = 0,
        open_store: Callable[[str], UsageStore] = UsageStore,
    ) -> None:
        self._url = url
        self._retention_days = retention_days
        self._open_store = open_store
        self._store: UsageStore | None = None
        self._journal = Journal(folder)
        self._segments: deque[Segment] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._disk_error_logged_at = -math.inf
        self._rows_in_memory = 0
        self.away = False
        """Whether the database did not take the last batch."""
        self.lost = 0
        """The number of rows that neither the database nor the disk took."""
        self.ready = threading.Event()
        """Set once everything that earlier processes left in the journal is in the database."""

    @property
    def waiting_bytes(self) -> int:
        """The bytes of usage that may not be in the database yet."""
        with self._lock:
            return sum(each.size for each in self._segments if each.in_file_only or each.pending)

    def open(self) -> None:
        """Open the journal.

        Raises:
            OSError: The journal's folder cannot be created or written to.
        """
        if not self._segments:
            self._segments.append(self._journal.create_segment())

    def start(self) -> None:
        """Open the journal and start the writer's thread.

        Raises:
            OSError: The journal's folder cannot be created or written to.
        """
        self.open()
        self._thread.start()

    def put(self, rows: Sequence[UsageRow]) -> None:
        """Take a batch. Never waits for the database and never raises."""
        with self._lock:
            if not self._segments:  # closed
                self.lost += len(rows)
                return
            segment = self._segments[-1]
            try:
                if segment.size > MAX_SEGMENT_BYTES:
                    segment = self._start_new_segment(segment)
                segment.append(rows)
            except OSError as error:
                self._log_disk_error(error, len(rows))
                if self._rows_in_memory > MAX_MEMORY_ROWS:
                    self.lost += len(rows)
                    return
                segment.complete = False
            segment.pending.append(rows)
            self._rows_in_memory += len(rows)
        self._wake.set()

    def _start_new_segment(self, full: Segment) -> Segment:
        new = self._journal.create_segment()
        full.closed = True
        if len(self._segments) > 1 and full.complete:  # the thread is still at an older one: free the memory
            full.in_file_only = True
            self._rows_in_memory -= sum(map(len, full.pending))
            full.pending.clear()
        self._segments.append(new)
        return new

    def _log_disk_error(self, error: OSError, rows: int) -> None:
        now = time.monotonic()
        if now - self._disk_error_logged_at > 10:
            self._disk_error_logged_at = now
            log.critical("usage cannot be kept on disk", reason=error.strerror, rows=rows, lost=self.lost)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is pending, for ``timeout_s`` seconds at most. The rest stays in the journal."""
        self._deadline = time.monotonic() + timeout_s
        self._closing = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s + 1.0)
        if not self._thread.is_alive():
            with self._lock:
                for segment in self._segments:
                    if segment.in_file_only or segment.pending:
                        segment.close()
                    else:
                        segment.remove()
                self._segments.clear()

    # The writer's thread

    def _run(self) -> None:
        claimed_at = cleaned_at = -math.inf
        while True:
            now = time.monotonic()
            try:
                if now - claimed_at > CLAIM_INTERVAL_S:
                    claimed_at = now
                    self._claim_abandoned_segments()
                self._write_pending()
                if self.away:
                    self.away = False
                    log.info("the database takes usage again")
                self.ready.set()
                if not self._closing and now - cleaned_at > 3600:
                    cleaned_at = now
                    self._delete_old_rows()
            except StoreError as error:
                if not self.away:
                    self.away = True
                    log.error("the database does not take usage; it is kept on disk", reason=str(error))
            except Exception:
                self.away = True
                log.exception("usage could not be written; it is kept on disk")
            if self._closing and (not self._has_pending() or time.monotonic() > self._deadline):
                break
            self._wait()
        if self._store is not None:
            self._store.close()

    def _wait(self) -> None:
        """Wait until there is something to write, or until the database may be tried again."""
        if self.away:
            until = time.monotonic() + RETRY_INTERVAL_S
            while not self._closing and (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 0.1))
            if self._closing:
                time.sleep(0.1)
        elif not self._closing:
            self._wake.wait(CLAIM_INTERVAL_S)
            self._wake.clear()
            if not self._closing:
                time.sleep(GATHER_S)

    def _has_pending(self) -> bool:
        with self._lock:
            return any(each.in_file_only or each.pending for each in self._segments)

    def _claim_abandoned_segments(self) -> None:
        abandoned = self._journal.claim_abandoned_segments()
        if abandoned:
            log.info("usage was left behind; it is written now", files=len(abandoned))
            with self._lock:
                self._segments.extendleft(reversed(abandoned))

    def _write_pending(self) -> None:
        """Write everything that is pending, oldest first.

        Raises:
            StoreError: The database fails.
        """
        store = self._store
        if store is None:
            store = self._store = self._open_store(self._url)
        while True:
            with self._lock:
                segment = self._segments[0]
                batches = [] if segment.in_file_only else next(_transactions(segment.pending), [])
                done = not segment.in_file_only and not batches
                if done and not segment.closed:
                    return
            if segment.in_file_only:
                for group in _transactions(segment.read()):
                    store.insert(group, skip_existing=True)
                if segment.has_unreadable:
                    text = "usage that another version has written cannot be read; its file is kept"
                    log.critical(text, folder=str(segment.path.parent))
                done = True
            elif batches:
                self._write(store, segment, batches)
            if done:
                with self._lock:
                    self._segments.popleft()
                segment.remove()

    def _write(self, store: UsageStore, segment: Segment, batches: list[Batch]) -> None:
        # After a failure the database may have a batch whose success was not reported.
        store.insert(batches, skip_existing=self.away)
        with self._lock:
            for batch in batches:
                segment.pending.popleft()
                self._rows_in_memory -= len(batch)

    def _delete_old_rows(self) -> None:
        if self._retention_days and self._store is not None:
            before = int((time.time() - self._retention_days * 86400) * 1000)
            self._store.delete_before(before, self._write_between_deletes)

    def _write_between_deletes(self) -> bool:
        """Write what came in meanwhile, between two transactions of a long deletion.

        Returns:
            Whether the deletion should continue.
        """
        time.sleep(0.05)  # other processes want to write too
        self._write_pending()
        return not self._closing


def _transactions(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Group batches into transactions of about :data:`MAX_TRANSACTION_ROWS` rows."""
    group: list[Batch] = []
    rows = 0
    for batch in batches:
        group.append(batch)
        rows += len(batch)
        if rows >= MAX_TRANSACTION_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group
