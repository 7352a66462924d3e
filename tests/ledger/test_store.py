"""Transactions over a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tests.ledger.making import until_blocked
from tests.services import Postgres
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import REVISION
from trunkline.ledger.store import Store
from trunkline.ledger.tables import teams


def number(store: Store) -> list[int]:
    with store.begin() as connection:
        return list(connection.exec_driver_sql(REVISION).scalars())


def test_every_change_raises_the_revision_and_nothing_else_does(store: Store) -> None:
    assert number(store) == []
    for expected in (1, 2, 3):
        with store.change():
            pass
        assert number(store) == [expected]


def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    def make(number: str, *names: str) -> None:
        with store.change() as connection:
            for name in names:
                values = {"id": number, "name": name, "created_at": sa.func.now()}
                connection.execute(teams.insert().values(values))

    make("t", "a")
    with pytest.raises(StoreError, match="the store cannot be used: "):
        make("u", "b", "b")
    assert number(store) == [1]
    with store.begin() as connection:
        assert connection.execute(sa.select(teams.c.id)).scalars().all() == ["t"]


def test_the_first_two_changes_of_a_store_wait_for_each_other(postgres: Postgres) -> None:
    url = postgres.database()
    with Store(url) as store, Store(url) as other, ThreadPoolExecutor(1) as pool:

        def change() -> None:
            with other.change():
                pass

        with store.change():
            second = pool.submit(change)
            until_blocked(store)
        second.result(60)
        assert number(store) == [2]
