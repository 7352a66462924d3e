"""Content that passes through as a list of parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.openai.inspect import StreamInspector, WholeInspector

THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
SAID = {"type": "text", "text": "Ho"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
IMAGE = {"type": "image_url", "image_url": "https://pictures.example/cat.png"}

MENDED: dict[str, tuple[Any, Any, str | None]] = {
    "thinking": ([THOUGHT], "", "Hm"),
    "thinking and a text": ([THOUGHT, SAID], "Ho", "Hm"),
    "a text": ([SAID], "Ho", None),
    "nothing": ([], "", None),
    "a text as it ought to be": ("Ho", "Ho", None),
    "a picture": ([SAID, IMAGE], [SAID, IMAGE], None),
}


def event(delta: dict[str, Any], **more: Any) -> bytes:
    return (
        b"data: "
        + json.dumps({"id": "c", "choices": [{"index": 0, "delta": delta} | more]}).encode()
        + b"\n\n"
    )


def streamed(content: Any, size: int, *, has_parts: bool = True) -> list[dict[str, Any]]:
    """The deltas that a client gets of a stream with this content in its second chunk."""
    data = event({"role": "assistant"}) + event({"content": content}) + event({}, finish_reason="stop")
    inspector = StreamInspector("Mistral", False, has_parts)
    out = (
        b"".join(inspector.feed(data[at : at + size]) for at in range(0, len(data), size)) + inspector.close()
    )
    assert inspector.complete
    return [json.loads(each[6:])["choices"][0]["delta"] for each in out.split(b"\n\n") if each]


@pytest.mark.parametrize(("content", "text", "thinking"), MENDED.values(), ids=MENDED)
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_stream(content: Any, text: Any, thinking: str | None, size: int) -> None:
    delta = streamed(content, size)[1]
    assert (delta["content"], delta.get("reasoning_content"), delta.get("reasoning")) == (
        text,
        thinking,
        thinking,
    )


@pytest.mark.parametrize(("content", "text", "thinking"), MENDED.values(), ids=MENDED)
@pytest.mark.parametrize("calls", [[], [CALL]], ids=["alone", "with a call"])
def test_a_whole_answer(content: Any, text: Any, thinking: str | None, calls: list[Any]) -> None:
    message = {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {})
    inspector = WholeInspector("Mistral")
    inspector.has_parts = True
    inspector.feed(json.dumps({"id": "c", "choices": [{"index": 0, "message": message}]}).encode())
    found = json.loads(inspector.close())["choices"][0]["message"]
    assert found["content"] == (None if calls and not text else text)
    assert found.get("reasoning_content") == thinking
    assert found.get("tool_calls", []) == calls


def test_calls_beside_parts_are_mended_too() -> None:
    inspector = StreamInspector("Mistral", False, True)
    call = {"id": "c1", "function": {"name": "f", "arguments": {"x": 1}}}
    out = inspector.feed(event({"role": "assistant", "content": [THOUGHT], "tool_calls": [call]}))
    delta = json.loads(out[6:])["choices"][0]["delta"]
    assert (delta["content"], delta["reasoning_content"]) == ("", "Hm")
    assert delta["tool_calls"][0] | {"type": "function"} == {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": "f", "arguments": '{"x":1}'},
    }


def test_the_thinking_of_a_field_stays() -> None:
    inspector = WholeInspector("It")
    inspector.has_parts = True
    message = {"content": [THOUGHT, SAID], "reasoning_content": "Mine"}
    inspector.feed(json.dumps({"id": "c", "choices": [{"index": 0, "message": message}]}).encode())
    found = json.loads(inspector.close())["choices"][0]["message"]
    assert found == {"content": "Ho", "reasoning_content": "Mine"}


def test_vendors_without_parts_are_not_searched_for_them() -> None:
    assert streamed([SAID], 10_000, has_parts=False)[1] == {"content": [SAID]}
