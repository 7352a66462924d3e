"""The journal's files: appended to, locked, truncated, abandoned."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.ledger.factories import make_row
from trunkline.ledger.journal import Batch, Journal, Segment
from trunkline.ledger.usage_rows import UsageRow

BATCHES: list[list[UsageRow]] = [
    [make_row(prompt="Grüße"), make_row(error="timeout", cost_micros=None)],
    [make_row()],
    [make_row(), make_row(), make_row()],
]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "some" / "folder")


def abandon_segment(journal: Journal, *batches: Batch) -> Path:
    """Create a segment that nobody has locked, and return its path."""
    segment = journal.create_segment()
    for batch in batches:
        segment.append(batch)
    segment.close()
    return segment.path


@pytest.fixture
def opened(journal: Journal) -> Iterator[list[Segment]]:
    """A list of segments that are closed at the end."""
    segments: list[Segment] = []
    yield segments
    for segment in segments:
        segment.close()


def test_appended_batches_are_read(journal: Journal, opened: list[Segment]) -> None:
    segment = journal.create_segment()
    opened.append(segment)
    assert list(segment.read()) == []
    for number, batch in enumerate(BATCHES, 1):
        segment.append(batch)
        assert segment.size == segment.path.stat().st_size
        assert list(segment.read()) == BATCHES[:number]


def test_only_its_owner_can_read_a_segment(journal: Journal) -> None:
    path = abandon_segment(journal, *BATCHES)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]


@pytest.mark.parametrize("remainder", ["nothing", "length", "some", "nearly all"])
def test_a_truncated_batch_is_not_read(journal: Journal, opened: list[Segment], remainder: str) -> None:
    whole = abandon_segment(journal, *BATCHES[:2]).stat().st_size
    path = abandon_segment(journal, *BATCHES)
    full = path.stat().st_size
    os.truncate(
        path,
        {"nothing": whole + 1, "length": whole + 4, "some": whole + 9, "nearly all": full - 1}[remainder],
    )
    opened += journal.claim_abandoned_segments()
    assert [list(segment.read()) for segment in opened] == [BATCHES[:2]] * 2


def test_a_file_with_batches_of_another_version_is_kept(journal: Journal) -> None:
    path = abandon_segment(journal, *BATCHES[:2])
    unreadable = msgspec.msgpack.encode([["a", "row", "of", "another", "shape"]])
    with path.open("ab") as file:
        file.write(len(unreadable).to_bytes(4, "big") + unreadable)
        readable = msgspec.msgpack.encode(BATCHES[2])
        file.write(len(readable).to_bytes(4, "big") + readable)
    (segment,) = journal.claim_abandoned_segments()
    assert (list(segment.read()), segment.has_unreadable) == (BATCHES, True)
    segment.remove()
    (kept,) = journal.folder.iterdir()
    assert unreadable in kept.read_bytes()
    assert journal.claim_abandoned_segments() == []


def test_rows_without_an_outcome_are_read(journal: Journal) -> None:
    """Versions before the outcome wrote arrays that are shorter by one."""
    older = make_row(outcome="")
    path = abandon_segment(journal)
    data = msgspec.msgpack.encode([msgspec.structs.astuple(older)[:-1]])
    with path.open("ab") as file:
        file.write(len(data).to_bytes(4, "big") + data)
    (segment,) = journal.claim_abandoned_segments()
    assert (list(segment.read()), segment.has_unreadable) == ([[older]], False)
    segment.close()


def test_rows_of_an_older_version_are_read(journal: Journal, opened: list[Segment]) -> None:
    """Older versions wrote true and nil in place of 1 and an empty text."""
    older = make_row(last=True, streamed=False, end_user=None, route=None)
    opened.append(journal.create_segment())
    opened[0].append([older])
    assert list(opened[0].read()) == [[older]]


def test_abandoned_segments_are_claimed_once_oldest_first(
    journal: Journal, opened: list[Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert journal.claim_abandoned_segments() == []
    clock = iter(range(1_700_000_000_000, 2_000_000_000_000, 10))
    monkeypatch.setattr("trunkline.ledger.journal.time.time_ns", lambda: next(clock) * 1_000_000)
    paths = [abandon_segment(journal, batch) for batch in BATCHES]
    opened += journal.claim_abandoned_segments()
    assert [segment.path for segment in opened] == paths
    assert [list(segment.read()) for segment in opened] == [[batch] for batch in BATCHES]
    assert all(segment.in_file_only and segment.closed for segment in opened)
    assert journal.claim_abandoned_segments() == []
    assert Journal(journal.folder).claim_abandoned_segments() == []


def test_a_claimed_segment_that_is_closed_can_be_claimed_again(
    journal: Journal, opened: list[Segment]
) -> None:
    abandon_segment(journal, *BATCHES)
    (first,) = journal.claim_abandoned_segments()
    first.close()
    opened += journal.claim_abandoned_segments()
    assert [list(segment.read()) for segment in opened] == [BATCHES]
    opened[0].remove()
    assert journal.claim_abandoned_segments() == []
    assert list(journal.folder.iterdir()) == []
    opened.clear()


def test_a_new_segment_is_not_claimed_before_it_is_locked(
    journal: Journal, opened: list[Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process searches between the creation of the file and the lock on it."""
    flock = fcntl.flock
    claimed: list[list[Segment]] = []

    def claim_first(fd: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        claimed.append(journal.claim_abandoned_segments())
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", claim_first)
    opened.append(journal.create_segment())
    assert claimed == [[]]
    assert journal.claim_abandoned_segments() == []


def test_other_files_are_ignored(journal: Journal) -> None:
    journal.create_segment().remove()
    (journal.folder / "other.txt").write_text("text")
    assert journal.claim_abandoned_segments() == []


HOLD_SEGMENT = """
import sys
from pathlib import Path
from tests.ledger.test_journal import BATCHES
from trunkline.ledger.journal import Journal
segment = Journal(Path(sys.argv[1])).create_segment()
segment.append(BATCHES[0])
print(segment.path, flush=True)
sys.stdin.read()
"""


def test_segments_of_a_running_process_are_not_claimed_and_those_of_a_killed_one_are(
    journal: Journal, opened: list[Segment]
) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_SEGMENT, str(journal.folder)],
        stdin=pipe,
        stdout=pipe,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with process:
        try:
            assert process.stdout is not None
            path = Path(process.stdout.readline().strip())
            assert path.parent == journal.folder
            assert journal.claim_abandoned_segments() == []
        finally:
            process.kill()
        process.wait()
        opened += journal.claim_abandoned_segments()
    assert [segment.path for segment in opened] == [path]
    (batches,) = [list(segment.read()) for segment in opened]
    assert [[len(batch), batch[0].prompt] for batch in batches] == [[2, "Grüße"]]


@pytest.mark.parametrize("written", [0, 1, 7])
def test_a_full_disk_leaves_the_file_unchanged(
    journal: Journal, opened: list[Segment], monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    segment = journal.create_segment()
    opened.append(segment)
    segment.append(BATCHES[0])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:written]))
        with pytest.raises(OSError, match="no space left"):
            segment.append(BATCHES[1])
    assert segment.size == segment.path.stat().st_size
    segment.append(BATCHES[2])
    assert list(segment.read()) == [BATCHES[0], BATCHES[2]]


def test_a_folder_that_cannot_be_created_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "folder")
    with pytest.raises(OSError, match="Not a directory"):
        journal.create_segment()
    assert journal.claim_abandoned_segments() == []
