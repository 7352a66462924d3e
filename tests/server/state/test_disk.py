"""The store's file: what survives, what is deleted, and what happens where it cannot be used."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from structlog.testing import capture_logs

from trunkline.server.state.disk import DiskState
from trunkline.server.state.store import Bounds, Entry, StateStore

SOON = time.time() + 1000


def names(path: Path) -> list[str]:
    """The names of the entries in a file, the oldest first."""
    with sqlite3.connect(path) as connection:
        found = [name for (name,) in connection.execute("SELECT name FROM state ORDER BY id")]
    connection.close()
    return found


async def test_entries_survive_and_deleted_ones_do_not(tmp_path: Path) -> None:
    path = tmp_path / "made" / "state.db"
    disk = DiskState(path)
    assert await disk.load("a", "x") is None
    disk.delete("a", "x")
    assert not path.exists()
    for data in (b"old", b"new"):
        disk.save("a", "x", Entry(data, SOON))
    disk.save("a", "secret", Entry(b"seven words", SOON))
    disk.delete("a", "secret")
    assert await disk.load("a", "x") == Entry(b"new", SOON)
    await disk.aclose()
    assert path.stat().st_mode & 0o077 == 0
    assert b"seven words" not in path.read_bytes()
    again = DiskState(path)
    assert await again.load("a", "x") == Entry(b"new", SOON)
    assert await again.load("b", "x") is None
    assert await again.load("a", "secret") is None
    await again.aclose()


async def test_the_oldest_of_a_key_go_first(tmp_path: Path) -> None:
    disk = DiskState(tmp_path / "state.db")
    disk.resize(Bounds(key_bytes=250))
    disk.save("b", "other", Entry(b"1" * 100, SOON))
    for name in "xyz":
        disk.save("a", name, Entry(b"1" * 100, SOON))
    await disk.aclose()
    assert names(tmp_path / "state.db") == ["other", "y", "z"]


async def test_the_file_is_bounded_and_old_entries_are_deleted(tmp_path: Path) -> None:
    disk = DiskState(tmp_path / "state.db")
    disk.resize(Bounds(disk_bytes=1000))
    disk.save("a", "late", Entry(b"1", 1.0))
    for number in range(64):
        disk.save(f"{number}", f"{number}", Entry(b"1" * 100, SOON))
    await disk.aclose()
    left = names(tmp_path / "state.db")
    assert "late" not in left
    assert left[-1] == "63"
    assert len(left) < 10 + 32


async def test_without_room_on_disk_there_is_no_file(tmp_path: Path) -> None:
    disk = DiskState(tmp_path / "state.db")
    disk.resize(Bounds(disk_bytes=0))
    disk.save("a", "x", Entry(b"1", SOON))
    await disk.aclose()
    assert not (tmp_path / "state.db").exists()


async def test_a_file_that_cannot_be_used_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database" * 1000)
    store = StateStore(DiskState(path))
    with capture_logs() as logs:
        store.put("a", "x", b"1")
        store.put("a", "y", b"2")
        assert await store.get("a", "z") is None
        assert await store.get("a", "x") == b"1"
        await store.aclose()
    assert [each["event"] for each in logs] == ["stored responses are in memory only"]
