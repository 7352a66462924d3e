"""Names and ids that fit a rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.fit.names import fit_names
from trunkline.dialects.fit.rules import NameRule

RULES = (
    NameRule(),
    NameRule(begins="a-zA-Z_"),
    NameRule(chars="a-zA-Z0-9", longest=9, exact=True),
    NameRule(chars="!-~", longest=40),
    NameRule(longest=None),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.pattern)
@given(names=st.lists(st.text(max_size=90), max_size=8))
def test_all_fit_and_none_is_anothers(rule: NameRule, names: list[str]) -> None:
    new = fit_names(names, rule)
    sent = {name: new.get(name, name) for name in names}
    assert all(re.fullmatch(rule.pattern, name) for name in sent.values())
    assert len(set(sent.values())) == len(sent)
    assert new == fit_names(names, rule)
    assert not [name for name in new if re.fullmatch(rule.pattern, name)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["fs.read"], {"fs.read": "fs_read"}),
        (["plain"], {}),
        (["9lives"], {}),
        (["a" * 65], {"a" * 65: "a" * 55 + "_635361c4"}),
    ],
)
def test_names_stay_readable(names: list[str], expected: dict[str, str]) -> None:
    assert fit_names(names, NameRule()) == expected


def test_a_name_may_have_to_begin_with_a_letter() -> None:
    assert fit_names(["9lives"], NameRule(begins="a-zA-Z_")) == {"9lives": "f_9lives"}


def test_a_name_that_is_taken_is_not_given_to_another() -> None:
    new = fit_names(["fs.read", "fs_read"], NameRule())
    assert new.keys() == {"fs.read"}
    assert new["fs.read"].startswith("fs_read_")
