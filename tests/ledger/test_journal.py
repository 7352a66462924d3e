"""The journal's files: locked, cut off, left behind."""

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

from tests.ledger.making import row
from trunkline.ledger.journal import Batch, Journal, Segment
from trunkline.ledger.usage_rows import UsageRow

BATCHES: list[list[UsageRow]] = [
    [row(prompt="Grüße"), row(error="timeout", cost_micros=None)],
    [row()],
    [row(), row(), row()],
]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "some" / "folder")


def left_behind(journal: Journal, *batches: Batch) -> Path:
    """A segment that nobody holds any more."""
    segment = journal.begin()
    for batch in batches:
        segment.append(batch)
    segment.close()
    return segment.path


@pytest.fixture
def take(journal: Journal) -> Iterator[list[Segment]]:
    """Segments that are closed at the end."""
    taken: list[Segment] = []
    yield taken
    for segment in taken:
        segment.close()


def test_what_is_appended_is_read(journal: Journal, take: list[Segment]) -> None:
    segment = journal.begin()
    take.append(segment)
    assert list(segment.read()) == []
    for number, batch in enumerate(BATCHES, 1):
        segment.append(batch)
        assert segment.size == segment.path.stat().st_size
        assert list(segment.read()) == BATCHES[:number]


def test_only_its_owner_reads_it(journal: Journal) -> None:
    path = left_behind(journal, *BATCHES)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]


@pytest.mark.parametrize("kept", ["nothing", "length", "some", "nearly all"])
def test_a_batch_that_was_cut_off_is_none(journal: Journal, take: list[Segment], kept: str) -> None:
    whole = left_behind(journal, *BATCHES[:2]).stat().st_size
    path = left_behind(journal, *BATCHES)
    full = path.stat().st_size
    os.truncate(
        path, {"nothing": whole + 1, "length": whole + 4, "some": whole + 9, "nearly all": full - 1}[kept]
    )
    take += journal.orphans()
    assert [list(segment.read()) for segment in take] == [BATCHES[:2]] * 2


def test_what_another_version_has_written_is_kept(journal: Journal) -> None:
    path = left_behind(journal, *BATCHES[:2])
    alien = msgspec.msgpack.encode([["a", "row", "of", "another", "shape"]])
    with path.open("ab") as file:
        file.write(len(alien).to_bytes(4, "big") + alien)
        written = msgspec.msgpack.encode(BATCHES[2])
        file.write(len(written).to_bytes(4, "big") + written)
    (segment,) = journal.orphans()
    assert (list(segment.read()), segment.strange) == (BATCHES, True)
    segment.remove()
    (kept,) = journal.folder.iterdir()
    assert alien in kept.read_bytes()
    assert journal.orphans() == []


def test_an_older_versions_rows_are_read(journal: Journal, take: list[Segment]) -> None:
    """It wrote true and nil where there are 1 and an empty text now."""
    older = row(last=True, streamed=False, end_user=None, route=None)
    take.append(journal.begin())
    take[0].append([older])
    assert list(take[0].read()) == [[older]]


def test_what_is_left_behind_is_found_oldest_first_and_once(
    journal: Journal, take: list[Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert journal.orphans() == []
    clock = iter(range(1_700_000_000_000, 2_000_000_000_000, 10))
    monkeypatch.setattr("trunkline.ledger.journal.time.time_ns", lambda: next(clock) * 1_000_000)
    paths = [left_behind(journal, batch) for batch in BATCHES]
    take += journal.orphans()
    assert [segment.path for segment in take] == paths
    assert [list(segment.read()) for segment in take] == [[batch] for batch in BATCHES]
    assert all(segment.cold and segment.closed for segment in take)
    assert journal.orphans() == []
    assert Journal(journal.folder).orphans() == []


def test_what_was_taken_over_and_let_go_is_found_again(journal: Journal, take: list[Segment]) -> None:
    left_behind(journal, *BATCHES)
    (first,) = journal.orphans()
    first.close()
    take += journal.orphans()
    assert [list(segment.read()) for segment in take] == [BATCHES]
    take[0].remove()
    assert journal.orphans() == []
    assert list(journal.folder.iterdir()) == []
    take.clear()


def test_a_segment_that_begins_is_not_taken_for_one_left_behind(
    journal: Journal, take: list[Segment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks between the making of its file and the lock on it."""
    flock = fcntl.flock
    looked: list[list[Segment]] = []

    def look_first(fd: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        looked.append(journal.orphans())
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", look_first)
    take.append(journal.begin())
    assert looked == [[]]
    assert journal.orphans() == []


def test_other_files_are_nobodys_business(journal: Journal) -> None:
    journal.begin().remove()
    (journal.folder / "notes.txt").write_text("mine")
    assert journal.orphans() == []


HOLD = """
import sys
from pathlib import Path
from tests.ledger.test_journal import BATCHES
from trunkline.ledger.journal import Journal
segment = Journal(Path(sys.argv[1])).begin()
segment.append(BATCHES[0])
print(segment.path, flush=True)
sys.stdin.read()
"""


def test_a_living_process_keeps_its_segments_and_a_killed_one_leaves_them(
    journal: Journal, take: list[Segment]
) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(journal.folder)],
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
            assert journal.orphans() == []
        finally:
            process.kill()
        process.wait()
        take += journal.orphans()
    assert [segment.path for segment in take] == [path]
    (found,) = [list(segment.read()) for segment in take]
    assert [[len(batch), batch[0].prompt] for batch in found] == [[2, "Grüße"]]


@pytest.mark.parametrize("written", [0, 1, 7])
def test_a_full_disk_leaves_the_file_as_it_was(
    journal: Journal, take: list[Segment], monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    segment = journal.begin()
    take.append(segment)
    segment.append(BATCHES[0])
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: write(fd, data[:written]))
        with pytest.raises(OSError, match="no space left"):
            segment.append(BATCHES[1])
    assert segment.size == segment.path.stat().st_size
    segment.append(BATCHES[2])
    assert list(segment.read()) == [BATCHES[0], BATCHES[2]]


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "folder")
    with pytest.raises(OSError, match="Not a directory"):
        journal.begin()
    assert journal.orphans() == []
