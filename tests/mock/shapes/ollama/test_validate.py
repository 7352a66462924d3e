"""Validation of Ollama's requests."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline_mock.shapes.base import VendorError
from trunkline_mock.shapes.ollama.validate import (
    decode_images,
    parse_inputs,
    parse_keep_alive,
    validate_chat,
    validate_common_fields,
    validate_generate,
)

_USER = {"role": "user", "content": "x"}


def chat_request(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{**_USER, **fields}]}


@pytest.mark.parametrize(
    "data",
    [
        chat_request(),
        chat_request(images=[], tool_calls=[], thinking="", content=None),
        chat_request(images=["AAAA"]),
        chat_request(images=["AAAA\r\nAAAA\n"]),
        chat_request(tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}]),
        {"model": "m", "messages": [], "options": None, "tools": [], "format": None, "keep_alive": None},
        {"model": "m", "options": {"num_ctx": 4096, "temperature": 1, "stop": ["a"], "unknown": "x"}},
        {"model": "m", "options": {"top_k": 1.5, "seed": None}},
        *({"model": "m", "think": think} for think in (True, False, None, "low", "max")),
        *({"model": "m", "format": form} for form in ("", "json", {"type": "object"})),
    ],
)
def test_valid_chats(data: dict[str, Any]) -> None:
    validate_chat(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "model is required"),
        ({"model": 5}, "cannot unmarshal number into Go struct field ChatRequest.model of type string"),
        ({"model": "m", "stream": "yes"}, "of type bool"),
        ({"model": "m", "messages": "hi"}, "of type array"),
        ({"model": "m", "messages": ["hi"]}, "of type api.Message"),
        (chat_request(content=[{"type": "text", "text": "x"}]), "cannot unmarshal array"),
        (chat_request(tool_call_id=5), "ChatRequest.messages.tool_call_id of type string"),
        (chat_request(images="AAAA"), "of type []api.ImageData"),
        (chat_request(images=[{"url": "x"}]), "of type api.ImageData"),
        (chat_request(images=["data:image/png;base64,AAAA"]), "illegal base64 data at input byte 4"),
        (chat_request(images=["AAA"]), "illegal base64 data at input byte 3"),
        (
            chat_request(tool_calls=[{"function": {"name": "f", "arguments": '{"a":1}'}}]),
            "cannot unmarshal string into Go struct field ChatRequest.messages.tool_calls.function.arguments",
        ),
        ({"model": "m", "think": "xhigh"}, 'invalid think value: "xhigh"'),
        ({"model": "m", "think": 1.5}, "invalid think value"),
        ({"model": "m", "format": "yaml"}, 'invalid format: "yaml"'),
        ({"model": "m", "options": []}, "map[string]interface"),
        ({"model": "m", "options": {"num_ctx": "4096"}}, 'option "num_ctx" must be of type integer'),
        ({"model": "m", "options": {"top_k": True}}, 'option "top_k" must be of type integer'),
        ({"model": "m", "options": {"temperature": "hot"}}, 'option "temperature" must be of type float32'),
        ({"model": "m", "options": {"stop": "a"}}, 'option "stop" must be of type array'),
        ({"model": "m", "tools": {}}, "of type array"),
    ],
)
def test_invalid_chats(data: dict[str, Any], message: str) -> None:
    with pytest.raises(VendorError) as raised:
        validate_chat(data)
    assert raised.value.status == 400
    assert message in raised.value.message


@pytest.mark.parametrize(
    ("keep_alive", "seconds"),
    [
        (None, 300),
        (0, 0),
        (-1, -1),
        (1.5, 1.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("0s", 0),
        ("-1", -1),
        ("-1m", -60),
        ("500ms", 0.5),
    ],
)
def test_keep_alive(keep_alive: Any, seconds: float) -> None:
    assert parse_keep_alive({"keep_alive": keep_alive}) == seconds


@pytest.mark.parametrize("keep_alive", ["", "soon", True, [], "5 m"])
def test_invalid_keep_alive(keep_alive: Any) -> None:
    with pytest.raises(VendorError, match="invalid duration"):
        validate_common_fields({"model": "m", "keep_alive": keep_alive})


def test_generate_requests() -> None:
    validate_generate({"model": "m", "prompt": "x", "raw": True, "system": ""})
    for invalid in ({"prompt": 5}, {"raw": True, "system": "x"}, {"images": ["?"]}):
        with pytest.raises(VendorError):
            validate_generate({"model": "m", **invalid})


def test_embed_inputs_and_images() -> None:
    assert parse_inputs({"model": "m", "input": "a"}) == ["a"]
    assert decode_images({"images": ["AAAA"]}, "") == [bytes(3)]
    for invalid in (5, ["a", 5], {"a": 1}):
        with pytest.raises(VendorError, match="invalid input type"):
            parse_inputs({"model": "m", "input": invalid})
