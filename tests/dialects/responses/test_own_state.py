"""Reasoning items in clients' own bodies: the maker's go through, others' are taken out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.responses.own_state import keep_own_state, made_state
from trunkline.dialects.vendor_state import Maker, seal
from trunkline.providers.thought_rules import maker_of

OPENAI = maker_of("o", "openai")
OWN = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAABo"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
USER = {"role": "user", "content": "Hi"}


def body(*items: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "input": [USER, *items]})


def rest(data: bytes) -> Any:
    return msgspec.json.decode(data)["input"][1:]


@pytest.mark.parametrize(
    "items",
    [
        (OWN, CALL | {"id": "fc_1"}),
        ({"type": "reasoning", "id": "rs_" + "0" * 50, "summary": []}, CALL | {"id": "fc_1"}),
        (CALL,),
    ],
)
def test_what_is_all_own_is_not_touched(items: tuple[Any, ...]) -> None:
    data = body(*items)
    assert keep_own_state(data, OPENAI) is data


@pytest.mark.parametrize("state", ["", "x", seal("anthropic", "signature", "s"), "signature:s"])
def test_others_items_are_taken_out_and_what_followed_loses_its_id(state: str) -> None:
    foreign = OWN | {"encrypted_content": state}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    sent = keep_own_state(body(foreign, CALL | {"id": "fc_1"}, USER, message), OPENAI)
    assert rest(sent) == [CALL, USER, message]


def test_an_item_of_ours_without_state() -> None:
    ours = {"type": "reasoning", "id": "rs_" + "0" * 34, "summary": []}
    call = CALL | {"id": "fc_1"}
    assert rest(keep_own_state(body(ours, OWN, call), OPENAI)) == [OWN, call]


def test_what_was_sealed_is_opened() -> None:
    sealed = OWN | {"encrypted_content": seal("openai", "encrypted", "gAAAAABo")}
    own = {name: value for name, value in OWN.items() if name != "id"}
    assert rest(keep_own_state(body(sealed), OPENAI)) == [own]


def test_a_server_that_nobody_knows_gets_what_is_not_known_to_be_anothers() -> None:
    data = body(OWN | {"encrypted_content": "x"})
    assert keep_own_state(data, Maker("provider=x")) is data


@pytest.mark.parametrize("data", [b"", b"[]", b'{"input":"type","encrypted_content":"x"}'])
def test_what_is_no_list_of_items_is_left_to_the_upstream(data: bytes) -> None:
    assert keep_own_state(data, OPENAI) == data


def test_what_is_remembered_of_an_answer() -> None:
    maker = maker_of("o", "openai")
    for state in made_state(b'data: {"item":{"type":"reasoning","encrypted_content":"mine"}}\n\n'):
        maker.note(state)
    data = body(OWN | {"encrypted_content": "mine"})
    assert keep_own_state(data, maker) is data
