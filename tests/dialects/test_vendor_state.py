"""Sealed state: what is sealed opens for its maker alone; what is not is told apart by form and memory."""

from __future__ import annotations

import re

import pytest

from trunkline.dialects.vendor_state import Form, MadeState, Maker, Sealed, is_redacted, seal, unseal

LETTERS: dict[Form, re.Pattern[str]] = {"signature": re.compile("[a-z]+")}


@pytest.mark.parametrize("data", ["x", "", "a:b:c", '{"google":{"thought_signature":"é"}}'])
def test_what_is_sealed_opens(data: str) -> None:
    assert unseal(seal("gemini", "extra", data)) == Sealed("gemini", "extra", data)


@pytest.mark.parametrize("state", ["", "x", "trunkline:", "trunkline:a:signature", "trunkline:a:nope:x"])
def test_what_is_not_sealed(state: str) -> None:
    assert unseal(state) is None


def test_only_its_maker_opens_it() -> None:
    one, other = Maker("one"), Maker("other")
    state = one.seal("signature", "s")
    assert one.open(state, "signature", "redacted") == Sealed("one", "signature", "s")
    assert one.open(state, "redacted") is None
    assert other.open(state, "signature") is None
    assert one.open("trunkline:one:nope:s", "signature") is None


def test_a_name_with_a_colon() -> None:
    maker = Maker("a:b")
    assert maker.open(maker.seal("field", "reasoning"), "field") == Sealed("a_b", "field", "reasoning")


def test_what_earlier_versions_wrote_was_anthropics() -> None:
    assert Maker("anthropic").open("signature:s", "signature") == Sealed("anthropic", "signature", "s")
    assert Maker("openai").open("signature:s", "signature", "encrypted") is None


def test_what_is_not_sealed_is_known_by_its_form_or_by_memory() -> None:
    made = MadeState()
    strict, lax = Maker("strict", LETTERS, made), Maker("lax", made=made)
    assert strict.open("abc", "signature") == Sealed("strict", "signature", "abc")
    assert strict.open("123", "signature") is None
    assert lax.open("123", "signature") is not None
    strict.note("123")
    lax.note("abc")
    assert strict.open("123", "signature") is not None
    assert strict.open("abc", "signature") is None
    assert lax.open("123", "signature") is None
    assert lax.is_others("123")
    assert not lax.is_others("abc")
    assert not lax.is_others("unknown")


@pytest.mark.parametrize("state", [None, "", "  "])
def test_nothing_is_nobodys(state: str | None) -> None:
    assert Maker("one").open(state, "signature") is None


@pytest.mark.parametrize("form", ["extra", "field", "details", "redacted"])
def test_forms_that_no_client_sends_unsealed(form: Form) -> None:
    assert Maker("one").open("x", form) is None


def test_redacted_thinking() -> None:
    assert is_redacted(seal("anthropic", "redacted", "x"))
    assert not is_redacted(seal("anthropic", "signature", "x"))
    assert not is_redacted("x")
