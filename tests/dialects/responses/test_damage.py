"""A request with an arbitrary value in any place is parsed, or refused with a reason."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.responses import RESPONSES, ResponsesRequest
from trunkline.errors import CallerError

FULL: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief",
    "input": [
        {"role": "user", "content": "Hi"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
                {"type": "input_file", "file_data": "QUJD", "filename": "a.pdf"},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
            ],
        },
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm"}],
            "encrypted_content": "signature:s",
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [{"type": "input_text", "text": "1"}],
        },
    ],
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "s", "schema": {}, "strict": True}},
    "metadata": {"a": "b"},
    "include": ["message.output_text.logprobs"],
    "max_output_tokens": 9,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_logprobs": 2,
    "user": "u",
    "store": False,
    "stream": True,
    "truncation": "auto",
}


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside ``value``."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*way, key)
        yield from places(each, (*way, key))


WAYS = list(places(FULL))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
types = st.sampled_from(["message", "reasoning", "function_call", "input_image", "input_file", "refusal"])


def outcome(data: bytes) -> ResponsesRequest | CallerError:
    """The parsed request, or the error with which it is refused."""
    try:
        RESPONSES.summarize(data)
        return RESPONSES.parse(data)
    except CallerError as error:
        return error


def test_the_undamaged_request_is_parsed() -> None:
    assert len(RESPONSES.parse(msgspec.json.encode(FULL)).messages) == 5


@given(way=st.sampled_from(WAYS), value=values | types)
def test_a_damaged_request_is_parsed_or_refused(way: tuple[Any, ...], value: Any) -> None:
    fields = copy.deepcopy(FULL)
    holder = fields
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = value
    found = outcome(msgspec.json.encode(fields))
    if isinstance(found, CallerError):
        assert found.status == 400
        assert found.param
        assert found.param in found.message
