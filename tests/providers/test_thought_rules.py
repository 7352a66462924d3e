"""Which vendor a provider is, by its type and its addresses."""

from __future__ import annotations

import pytest

from trunkline.providers.thought_rules import FORMS, HOSTS, RULES, maker_of, rules_for

COMPATIBLE = "openai-compatible"


def test_the_tables_fit_together() -> None:
    assert set(HOSTS.values()) == {*RULES, "anthropic"}
    assert all(rules.field not in rules.refuses for rules in RULES.values())
    assert all(rules.field for rules in RULES.values() if rules.insists or rules.turns in ("calls", "all"))


@pytest.mark.parametrize(
    ("kind", "urls", "vendor"),
    [
        ("openai", ["http://proxy/v1"], "openai"),
        (COMPATIBLE, ["https://api.deepseek.com"], "deepseek"),
        (COMPATIBLE, ["https://api.moonshot.ai/v1", "https://api.moonshot.cn/v1"], "moonshot"),
        (COMPATIBLE, ["https://api.groq.com/openai/v1", "http://127.0.0.1/v1"], None),
        (COMPATIBLE, ["http://127.0.0.1:8000/v1"], None),
        (COMPATIBLE, [], None),
    ],
)
def test_rules(kind: str, urls: list[str], vendor: str | None) -> None:
    assert rules_for(kind, urls) == (None if vendor is None else RULES[vendor])


@pytest.mark.parametrize(
    ("kind", "urls", "who"),
    [
        ("anthropic", ["http://127.0.0.1"], "anthropic"),
        ("anthropic", ["https://api.deepseek.com/anthropic"], "deepseek"),
        (COMPATIBLE, ["https://openrouter.ai/api/v1"], "openrouter"),
        (COMPATIBLE, ["http://127.0.0.1"], "provider=mine"),
        ("ollama", [], "provider=mine"),
    ],
)
def test_makers(kind: str, urls: list[str], who: str) -> None:
    assert maker_of("mine", kind, urls).name == who


@pytest.mark.parametrize("state", ["9c1185a5" * 8, "3f0c8a52-7d1e-4b6c-9a2f-1c2d3e4f5a6b", "c2ln", "A" * 39])
def test_forms_that_are_not_claudes(state: str) -> None:
    assert FORMS["anthropic"]["signature"].fullmatch(state) is None


def test_claudes_form() -> None:
    assert FORMS["anthropic"]["signature"].fullmatch("EqQBCkYIBxgCIkDNo0Ab/+9z" * 4 + "==")
