"""Items of stored responses: their list, its pages, references to items."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.server.endpoints.response_items import (
    input_items_of,
    list_input,
    paginate,
    referenced_id,
    response_id_of,
)


@pytest.mark.parametrize(
    ("item", "listed"),
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
def test_an_item_as_the_list_shows_it(item: dict[str, Any], listed: dict[str, Any]) -> None:
    assert list_input([item], "resp_7") == [listed | {"status": "completed"}]


def test_an_empty_page() -> None:
    assert paginate(list_input(input_items_of(None), "resp_7"), {}) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@pytest.mark.parametrize(
    ("item", "item_id"),
    [
        ({"type": "item_reference", "id": "msg_7f00"}, "msg_7f00"),
        ({"id": "msg_7f00"}, "msg_7f00"),
        ({"id": 7}, None),
        ({"id": "msg_7f00", "role": "user", "content": ""}, None),
        ({"type": "message", "id": "msg_7f00"}, None),
        ("msg_7f00", None),
    ],
)
def test_a_reference_names_an_item(item: Any, item_id: str | None) -> None:
    assert referenced_id(item) == item_id


@pytest.mark.parametrize(
    ("item_id", "response_id"), [("msg_7f00", "resp_7f"), ("rs_a_b01", "resp_a_b"), ("x", "resp_")]
)
def test_the_response_of_an_item(item_id: str, response_id: str) -> None:
    assert response_id_of(item_id) == response_id
