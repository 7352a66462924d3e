"""Transactions of a store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from tests.ledger.factories import wait_until_blocked
from tests.services import Postgres
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import SELECT_REVISION
from trunkline.ledger.store import Store
from trunkline.ledger.tables import teams


def policy_revision(store: Store) -> list[int]:
    with store.begin() as connection:
        return list(connection.exec_driver_sql(SELECT_REVISION).scalars())


def test_only_changes_increment_the_revision(store: Store) -> None:
    assert policy_revision(store) == []
    for expected in (1, 2, 3):
        with store.change():
            pass
        assert policy_revision(store) == [expected]


def test_a_change_that_fails_changes_nothing(store: Store) -> None:
    def create_teams(team_id: str, *names: str) -> None:
        with store.change() as connection:
            for name in names:
                values = {"id": team_id, "name": name, "created_at": sa.func.now()}
                connection.execute(teams.insert().values(values))

    create_teams("t", "a")
    with pytest.raises(StoreError, match="cannot be used: "):
        create_teams("u", "b", "b")
    assert policy_revision(store) == [1]
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
            wait_until_blocked(store)
        second.result(60)
        assert policy_revision(store) == [2]
