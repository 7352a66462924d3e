"""Thinking in clients' own bodies: the maker's goes through, others' is taken out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.anthropic.own_state import keep_own_state, made_state
from trunkline.dialects.vendor_state import Maker, seal
from trunkline.providers.thought_rules import maker_of

SIGNATURE = "EqQBCkYIBxgCIkDNo0Ab" * 4
OWN = {"type": "thinking", "thinking": "Hm", "signature": SIGNATURE}
REDACTED = {"type": "redacted_thinking", "data": "eHg="}
TEXT = {"type": "text", "text": "Ho"}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {"signature": "def f()", "type": "thinking"}}
ANTHROPIC = maker_of("a", "anthropic")
LAX = Maker("lax")


def body(*blocks: dict[str, Any], **more: Any) -> bytes:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": list(blocks)}]
    return msgspec.json.encode({"model": "m", "messages": turns, "max_tokens": 9} | more)


def content(data: bytes) -> Any:
    return msgspec.json.decode(data)["messages"][1]["content"]


@pytest.mark.parametrize("blocks", [(OWN, TEXT), (OWN, REDACTED, USE), (TEXT,), (USE,)])
def test_what_is_all_own_is_not_touched(blocks: tuple[dict[str, Any], ...]) -> None:
    data = body(*blocks)
    assert keep_own_state(data, ANTHROPIC) is data


@pytest.mark.parametrize("signature", ["", " ", "c2ln", "é", 'a"b', seal("gemini", "extra", "{}"), None])
def test_others_thinking_is_taken_out(signature: str | None) -> None:
    thought = {"type": "thinking", "thinking": "Na", "signature": signature}
    assert content(keep_own_state(body(OWN, thought, TEXT), ANTHROPIC)) == [OWN, TEXT]


def test_thinking_without_the_field() -> None:
    assert content(keep_own_state(body({"type": "thinking", "thinking": "Na"}, TEXT), ANTHROPIC)) == [TEXT]


@pytest.mark.parametrize("data", ["openrouter.reasoning:eyJ0", "{}", "é"])
def test_what_anthropic_has_not_encrypted_is_taken_out(data: str) -> None:
    block = {"type": "redacted_thinking", "data": data}
    assert content(keep_own_state(body(OWN, block, TEXT), ANTHROPIC)) == [OWN, TEXT]


def test_a_turn_of_which_nothing_is_left() -> None:
    sent = keep_own_state(body({"type": "thinking", "thinking": "Na", "signature": ""}), ANTHROPIC)
    assert msgspec.json.decode(sent)["messages"] == [{"role": "user", "content": "Hi"}]


def test_what_was_sealed_is_opened() -> None:
    thought = OWN | {"signature": seal("anthropic", "signature", SIGNATURE)}
    redacted = {"type": "redacted_thinking", "data": seal("anthropic", "redacted", "eHg=")}
    other = {"type": "redacted_thinking", "data": seal("other", "redacted", "eHg=")}
    assert content(keep_own_state(body(thought, redacted, other, TEXT), ANTHROPIC)) == [OWN, REDACTED, TEXT]


@pytest.mark.parametrize(("kind", "goes_on"), [("enabled", "disabled"), ("adaptive", "adaptive")])
def test_a_loop_without_its_thought_goes_on_without_thinking(kind: str, goes_on: str) -> None:
    turns = [
        {"role": "assistant", "content": [OWN | {"signature": ""}, USE]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]},
    ]
    sent = keep_own_state(body(messages=turns, thinking={"type": kind}), ANTHROPIC)
    assert msgspec.json.decode(sent)["thinking"] == {"type": goes_on}


def test_vendors_behind_the_same_api_take_unsigned_thinking() -> None:
    data = body({"type": "thinking", "thinking": "Na", "signature": ""}, TEXT)
    assert keep_own_state(data, LAX) == data
    sealed = body(OWN | {"signature": seal("other", "field", "x")}, TEXT)
    assert content(keep_own_state(sealed, LAX)) == [TEXT]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"messages":1,"signature":""}', b'{"messages":["x"]}'])
def test_what_is_no_request_is_left_to_the_upstream(data: bytes) -> None:
    assert keep_own_state(data, ANTHROPIC) == data


def test_what_is_remembered_of_an_answer() -> None:
    delta = b'data: {"type":"content_block_delta","delta":{"type":"signature_delta","signature":"c2ln"}}\n\n'
    start = b'data: {"content_block":{"type":"thinking","thinking":"","signature":""}}\n\n'
    maker = maker_of("a", "anthropic")
    for state in made_state(start + delta):
        maker.note(state)
    data = body(OWN | {"signature": "c2ln"}, TEXT)
    assert keep_own_state(data, maker) is data
