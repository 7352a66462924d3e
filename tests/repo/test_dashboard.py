"""The Grafana dashboard asks only for what a gateway's ``/metrics`` has, with the labels that it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateways import BEARER, chat, get, make_settings, post, serving, upstream
from tests.repo.test_repo import ROOT
from trunkline.settings.sections import BudgetRule
from trunkline_mock import MockUpstream

FILE: Final = ROOT / "deploy" / "grafana" / "trunkline.json"
DASHBOARD: Final[dict[str, Any]] = msgspec.json.decode(FILE.read_bytes())
GIVEN_BY_PROMETHEUS: Final = {"instance", "job"}
WORDS: Final = {"by", "without", "on", "ignoring", "group_left", "group_right", "or", "and", "unless", "bool"}

_STRING: Final = re.compile(r'"[^"]*"')
_MATCHERS: Final = re.compile(r"\{([^}]*)\}")
_RANGE: Final = re.compile(r"\[[^\]]*\]")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME: Final = re.compile(r"[a-zA-Z_:][\w:]*")
_METRIC: Final = re.compile(r"(?<![\w:$])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")


class Asked(NamedTuple):
    """What an expression asks for."""

    metrics: set[str]
    labels: set[str]


def read(expression: str) -> Asked:
    """The names in a PromQL expression."""
    bare = _STRING.sub('""', expression)
    labels = {
        name for group in _MATCHERS.findall(bare) for name in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", group)
    }
    bare = _RANGE.sub("", _MATCHERS.sub("", bare))
    labels |= {name for group in _GROUPING.findall(bare) for name in _NAME.findall(group)}
    return Asked(set(_METRIC.findall(_GROUPING.sub("", bare))) - WORDS, labels)


def expressions() -> Iterator[tuple[str, str, str]]:
    """(where, expression, legend) of every panel's every query."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"]


QUERIES: Final = list(expressions())
VARIABLES: Final = [each for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]


async def exposed() -> dict[str, set[str]]:
    """Names of samples, and the labels of each, of a gateway that has something to tell."""
    budgets = (BudgetRule(tokens=1000),)
    async with (
        MockUpstream("openai") as mock,
        serving(make_settings(providers={"vllm": upstream(mock)}, budgets=budgets)) as running,
    ):
        await running.ask(post(chat("gpt-4o"), BEARER))
        running.gateway.recorder.flush()
        answer = await running.ask(get("/metrics", BEARER))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ("a_total", {"a_total"}, set()),
        (
            'sum by (le, x) (rate(a_bucket{y=~"z", w!="sum"}[$__rate_interval]))',
            {"a_bucket"},
            set("xyw") | {"le"},
        ),
        ('(sum(a{b="c d"}) or vector(0)) / on (e) f', {"a", "f"}, {"b", "e"}),
        ("clamp_min(1 - a / b, 0) * 3600", {"a", "b"}, set()),
    ],
)
def test_expressions_are_read(expression: str, metrics: set[str], labels: set[str]) -> None:
    assert read(expression) == (metrics, labels)


async def test_every_metric_and_label_is_one_that_a_gateway_has() -> None:
    has = await exposed()
    assert len(QUERIES) > 20
    wrong = []
    for where, expression, legend in QUERIES:
        asked = read(expression)
        assert asked.metrics, where
        wrong += [f"{where}: {name}" for name in asked.metrics - set(has)]
        known = GIVEN_BY_PROMETHEUS.union(*(has.get(name, set()) for name in asked.metrics))
        wrong += [f"{where}: label {name}" for name in asked.labels - known]
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
        wrong += [f"{where}: legend {name}" for name in shown - asked.labels]
    assert wrong == []


async def test_variables_are_filled_from_what_a_gateway_has() -> None:
    has = await exposed()
    for variable in VARIABLES:
        matched = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert matched is not None, variable["name"]
        metric, label = matched.groups()
        assert label in has[metric] | GIVEN_BY_PROMETHEUS
        assert variable["definition"] == variable["query"]["query"]


async def test_everything_that_a_gateway_tells_is_shown_and_described() -> None:
    """A histogram is shown if any of its samples is."""
    asked = set().union(*(read(expression).metrics for _, expression, _ in QUERIES))
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    told = {re.sub(r"_(bucket|sum|count)$", "", name) for name in await exposed()}
    assert told - shown == set()
    described = re.findall(r"`(\w+)`", (ROOT / "docs" / "observability.md").read_text())
    assert told - set(described) == set()


def test_panels_have_a_place_and_the_chosen_source() -> None:
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    source = DASHBOARD["templating"]["list"][0]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    taken: dict[tuple[int, int], str] = {}
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
        for part in (panel, *panel.get("targets", ())):
            if panel["type"] != "row":
                assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    used = set(re.findall(r"\$(\w+)", " ".join(expression for _, expression, _ in QUERIES)))
    assert {name for name in used if not name.startswith("__")} <= names
