"""Every list of strategies' names has the same ones: settings, Python programs, documentation."""

from pathlib import Path
from typing import get_args

import pytest

from trunkline import LoadBalanceStrategy
from trunkline.routing.strategies import STRATEGIES
from trunkline.settings.sections import FleetStrategy, RouteStrategy

PAGE = Path(__file__).parents[2] / "docs" / "routing.md"


def test_routes_may_use_every_strategy() -> None:
    assert set(get_args(RouteStrategy)) == set(STRATEGIES)


def test_a_providers_own_servers_are_chosen_by_some_of_them_or_by_default() -> None:
    names = set(get_args(FleetStrategy))
    assert "auto" in names
    assert names - {"auto"} < set(STRATEGIES)


def test_programs_may_use_every_strategy() -> None:
    assert {each.value for each in LoadBalanceStrategy} == set(STRATEGIES)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_page_on_routing_tells_what_it_does(name: str) -> None:
    assert f"\n| `{name}` | " in PAGE.read_text(encoding="utf-8")
