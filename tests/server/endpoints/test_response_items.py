from __future__ import annotations

from typing import Any

import pytest

from trunkline.server.endpoints.response_items import items_of, listed, page, reference
from trunkline.server.endpoints.response_items import response_of as whose


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (
            {"role": "assistant", "content": "Hi"},
            {"type": "message", "id": "msg_7i00", "role": "assistant"}
            | {"content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call", "id": "fc_7i00", "call_id": "c", "name": "f", "arguments": "{}"},
        ),
        (
            {"type": "function_call_output", "id": "mine", "call_id": "c", "output": ""},
            {"type": "function_call_output", "id": "mine", "call_id": "c", "output": ""},
        ),
        (
            {"type": "reasoning", "encrypted_content": "x", "status": None},
            {"type": "reasoning", "id": "rs_7i00", "summary": [], "encrypted_content": "x"},
        ),
    ],
)
def test_an_item_as_the_list_shows_it(item: dict[str, Any], shown: dict[str, Any]) -> None:
    assert listed([item], "resp_7") == [shown | {"status": "completed"}]


def test_an_empty_page() -> None:
    assert page(listed(items_of(None), "resp_7"), {}) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("item", "number"),
    [
        ({"type": "item_reference", "id": "msg_7f00"}, "msg_7f00"),
        ({"id": "msg_7f00"}, "msg_7f00"),
        ({"id": 7}, None),
        ({"id": "msg_7f00", "role": "user", "content": ""}, None),
        ({"type": "message", "id": "msg_7f00"}, None),
        ("msg_7f00", None),
    ],
)
def test_what_is_a_reference(item: Any, number: str | None) -> None:
    assert reference(item) == number


@pytest.mark.parametrize(
    ("number", "response"), [("msg_7f00", "resp_7f"), ("rs_a_b01", "resp_a_b"), ("x", "resp_")]
)
def test_whose_item_it_is(number: str, response: str) -> None:
    assert whose(number) == response
