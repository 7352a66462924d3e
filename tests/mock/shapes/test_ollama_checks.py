"""What an Ollama mock refuses."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline_mock.shapes.base import RefusalError
from trunkline_mock.shapes.ollama_checks import (
    check_chat,
    check_fields,
    check_generate,
    images_of,
    inputs_of,
    keep_alive_s,
)

_USER = {"role": "user", "content": "x"}


def message(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{**_USER, **fields}]}


@pytest.mark.parametrize(
    "data",
    [
        message(),
        message(images=[], tool_calls=[], thinking="", content=None),
        message(images=["AAAA"]),
        message(images=["AAAA\r\nAAAA\n"]),
        message(tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}]),
        {"model": "m", "messages": [], "options": None, "tools": [], "format": None, "keep_alive": None},
        {"model": "m", "options": {"num_ctx": 4096, "temperature": 1, "stop": ["a"], "unknown": "x"}},
        {"model": "m", "options": {"top_k": 1.5, "seed": None}},
        *({"model": "m", "think": think} for think in (True, False, None, "low", "max")),
        *({"model": "m", "format": form} for form in ("", "json", {"type": "object"})),
    ],
)
def test_what_clients_send_passes(data: dict[str, Any]) -> None:
    check_chat(data)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "model is required"),
        ({"model": 5}, "cannot unmarshal number into Go struct field ChatRequest.model of type string"),
        ({"model": "m", "stream": "yes"}, "of type bool"),
        ({"model": "m", "messages": "hi"}, "of type array"),
        ({"model": "m", "messages": ["hi"]}, "of type api.Message"),
        (message(content=[{"type": "text", "text": "x"}]), "cannot unmarshal array"),
        (message(tool_call_id=5), "ChatRequest.messages.tool_call_id of type string"),
        (message(images="AAAA"), "of type []api.ImageData"),
        (message(images=[{"url": "x"}]), "of type api.ImageData"),
        (message(images=["data:image/png;base64,AAAA"]), "illegal base64 data at input byte 4"),
        (message(images=["AAA"]), "illegal base64 data at input byte 3"),
        (
            message(tool_calls=[{"function": {"name": "f", "arguments": '{"a":1}'}}]),
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
def test_what_is_refused(data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RefusalError) as refused:
        check_chat(data)
    assert refused.value.status == 400
    assert complaint in refused.value.message


@pytest.mark.parametrize(
    ("given", "seconds"),
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
def test_keep_alive(given: Any, seconds: float) -> None:
    assert keep_alive_s({"keep_alive": given}) == seconds


@pytest.mark.parametrize("given", ["", "soon", True, [], "5 m"])
def test_keep_alive_that_is_none(given: Any) -> None:
    with pytest.raises(RefusalError, match="invalid duration"):
        check_fields({"model": "m", "keep_alive": given})


def test_generate() -> None:
    check_generate({"model": "m", "prompt": "x", "raw": True, "system": ""})
    for wrong in ({"prompt": 5}, {"raw": True, "system": "x"}, {"images": ["?"]}):
        with pytest.raises(RefusalError):
            check_generate({"model": "m", **wrong})


def test_inputs_and_images() -> None:
    assert inputs_of({"model": "m", "input": "a"}) == ["a"]
    assert images_of({"images": ["AAAA"]}, "") == [bytes(3)]
    for wrong in (5, ["a", 5], {"a": 1}):
        with pytest.raises(RefusalError, match="invalid input type"):
            inputs_of({"model": "m", "input": wrong})
