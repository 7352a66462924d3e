"""The store of state: its bounds, its owners, and what is behind its memory."""

from __future__ import annotations

import pytest

from trunkline.server.state.store import Bounds, Entry, StateStore

SMALL = Bounds(ttl_s=10, memory_bytes=4000, disk_bytes=0, key_bytes=2400)


class Behind:
    """What a store has behind its memory."""

    def __init__(self, is_shared: bool = False) -> None:
        self.is_shared = is_shared
        self.entries: dict[tuple[str, str], Entry] = {}
        self.bounds = Bounds()
        self.loads = 0
        self.closed = False

    async def load(self, owner: str, name: str) -> Entry | None:
        self.loads += 1
        return self.entries.get((owner, name))

    def save(self, owner: str, name: str, entry: Entry) -> None:
        self.entries[owner, name] = entry

    def delete(self, owner: str, name: str) -> None:
        self.entries.pop((owner, name), None)

    def resize(self, bounds: Bounds) -> None:
        self.bounds = bounds

    async def aclose(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_an_entry_is_its_owners_alone() -> None:
    store = StateStore()
    store.put("a", "x", b"secret")
    assert await store.get("a", "x") == b"secret"
    assert await store.get("b", "x") is None
    assert await store.get("", "x") is None
    store.drop("b", "x")
    assert await store.get("a", "x") == b"secret"
    store.drop("a", "x")
    assert await store.get("a", "x") is None
    assert store.bytes == 0


async def test_an_entry_is_forgotten_in_time() -> None:
    clock, behind = Clock(), Behind()
    store = StateStore(behind, SMALL, clock)
    store.put("a", "x", b"1")
    clock.now += 9
    assert await store.get("a", "x") == b"1"
    clock.now += 2
    assert await store.get("a", "x") is None
    assert store.bytes == 0


async def test_one_keys_oldest_go_before_anybody_elses() -> None:
    store = StateStore(bounds=SMALL)
    store.put("b", "mine", b"b" * 500)
    for name in "vwxyz":
        store.put("a", name, b"a" * 500)
    found = [name for name in "vwxyz" if await store.get("a", name)]
    assert found == ["x", "y", "z"]
    assert await store.get("b", "mine")
    assert store.bytes <= SMALL.memory_bytes


async def test_what_is_used_stays_and_what_is_too_large_is_not_stored() -> None:
    store = StateStore(bounds=SMALL)
    for name in "xy":
        store.put("a", name, b"a" * 500)
    assert await store.get("a", "x")
    for name in "zw":
        store.put("a", name, b"a" * 500)
    assert [name for name in "xyzw" if await store.get("a", name)] == ["x", "z", "w"]
    store.put("a", "large", b"a" * (store.largest + 1))
    assert await store.get("a", "large") is None


async def test_the_memory_of_all_keys_is_bounded_and_can_shrink() -> None:
    store = StateStore(bounds=SMALL)
    for owner in "abcdefgh":
        store.put(owner, "x", b"1" * 500)
        store.put(owner, "x", b"2" * 500)
    assert SMALL.memory_bytes / 2 < store.bytes <= SMALL.memory_bytes
    store.resize(SMALL._replace(memory_bytes=1000))
    assert store.bytes <= 1000


@pytest.mark.parametrize("shared", [False, True])
async def test_what_memory_has_lost_is_found_behind_it(shared: bool) -> None:
    behind = Behind(shared)
    store = StateStore(behind, SMALL)
    assert behind.bounds == SMALL
    store.put("a", "x", b"1")
    assert await store.get("a", "x") == b"1"
    assert behind.loads == int(shared)
    again = StateStore(behind, SMALL)
    assert [await again.get("a", "x") for _ in range(2)] == [b"1", b"1"]
    assert behind.loads == (3 if shared else 1)
    again.drop("a", "x")
    assert await again.get("a", "x") is None
    await again.aclose()
    assert behind.closed
