from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.custom_tools import wrap_input
from trunkline.dialects.responses.quirks import ResponsesQuirks
from trunkline.dialects.responses.render_items import render_items
from trunkline.dialects.turns import MISSING_RESULT
from trunkline.dialects.vendor_state import Maker, seal
from trunkline.errors import CallerError
from trunkline.model import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

QUIRKS = ResponsesQuirks()
MAKER = Maker("acme")


def message(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


HI = message("user", Text(text="Hi"))
SAID = {"role": "user", "content": "Hi"}
CALL = ToolCall(id="c", name="f", arguments='{"x":1}')
WIRE_CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"x":1}'}
OWN = seal("acme", "encrypted", "gAAAAx")


def result(*parts: Text | Image | Document, **more: Any) -> Message:
    return message("tool", ToolResult(id="c", parts=parts, **more))


def output(value: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "c", "output": value}


def reasoning(*summary: str, state: str = "gAAAAx") -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": each} for each in summary]
    return {"type": "reasoning", "summary": parts, "encrypted_content": state}


DONE = result(Text(text="ok"))
WIRE_DONE = output("ok")
ITEMS: dict[str, tuple[list[Message], list[dict[str, Any]]]] = {
    "nothing": ([], [{"role": "user", "content": ""}]),
    "a system text first": (
        [message("system", Text(text="S")), HI],
        [{"role": "system", "content": "S"}, SAID],
    ),
    "system texts become one": (
        [message("system", Text(text="S")), HI, message("system", Text(text="T"))],
        [{"role": "system", "content": "S\n\nT"}, SAID],
    ),
    "several turns": (
        [HI, message("assistant", Text(text="A"), Text(text="B")), HI],
        [SAID, {"role": "assistant", "content": "AB"}, SAID],
    ),
    "images and files": (
        [
            message(
                "user",
                Text(text="Look"),
                Image(data="AAAA", media_type="image/webp"),
                Image(url="https://a.example", detail="high"),
                Document(data="AAAA"),
                Document(data="AAAA", media_type="application/x", name="n"),
                Document(data="QUI=", media_type="text/plain"),
                Document(url="https://a.example/d"),
                Document(file_id="file-1", name="n"),
                Audio(data="AAAA", format="mp3"),
            )
        ],
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look"},
                    {"type": "input_image", "image_url": "data:image/webp;base64,AAAA", "detail": "auto"},
                    {"type": "input_image", "image_url": "https://a.example", "detail": "high"},
                    {
                        "type": "input_file",
                        "filename": "document.pdf",
                        "file_data": "data:application/pdf;base64,AAAA",
                    },
                    {"type": "input_file", "filename": "n", "file_data": "data:application/x;base64,AAAA"},
                    {"type": "input_text", "text": "AB"},
                    {"type": "input_file", "file_url": "https://a.example/d"},
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                ],
            }
        ],
    ),
    "a call and its result": (
        [HI, message("assistant", Text(text="A"), CALL), DONE],
        [SAID, {"role": "assistant", "content": "A"}, WIRE_CALL, WIRE_DONE],
    ),
    "a result that is an error": (
        [HI, message("assistant", CALL), result(Text(text="no"), is_error=True)],
        [SAID, WIRE_CALL, output("Error: no")],
    ),
    "a result with an image": (
        [HI, message("assistant", CALL), result(Text(text="see"), Image(url="https://a.example"))],
        [
            SAID,
            WIRE_CALL,
            output(
                [
                    {"type": "input_text", "text": "see"},
                    {"type": "input_image", "image_url": "https://a.example", "detail": "auto"},
                ]
            ),
        ],
    ),
    "a call without a result": (
        [HI, message("assistant", CALL), HI],
        [SAID, WIRE_CALL, output(MISSING_RESULT), SAID],
    ),
    "own reasoning, in front of what it led to": (
        [
            HI,
            message(
                "assistant",
                Thinking(text="Hm", signature=OWN),
                Text(text="A"),
                Thinking(text="", signature=seal("acme", "encrypted", "gAAAAy")),
                CALL,
            ),
            DONE,
        ],
        [
            SAID,
            reasoning("Hm"),
            {"role": "assistant", "content": "A"},
            reasoning(state="gAAAAy"),
            WIRE_CALL,
            WIRE_DONE,
        ],
    ),
    "reasoning that led to nothing": (
        [HI, message("assistant", Text(text="A"), Thinking(text="Hm", signature=OWN), Text(text=""))],
        [SAID, {"role": "assistant", "content": "A"}],
    ),
    "reasoning of others": (
        [
            HI,
            message(
                "assistant",
                Thinking(text="Hm", signature=seal("other", "encrypted", "gAAAAx")),
                Thinking(text="Hm", signature=seal("acme", "signature", "EqQB")),
                Thinking(text="Hm", signature="EqQBCkYIBxABGAIqQL"),
                Thinking(text="Hm"),
                CALL,
            ),
            DONE,
        ],
        [SAID, WIRE_CALL, WIRE_DONE],
    ),
}


@pytest.mark.parametrize(("messages", "items"), ITEMS.values(), ids=ITEMS)
def test_items(messages: list[Message], items: list[dict[str, Any]]) -> None:
    assert render_items(tuple(messages), QUIRKS, MAKER) == items


def test_plain_reasoning_goes_back_to_who_sent_it() -> None:
    told = Thinking(text="Hm", signature=seal("acme", "field", "reasoning_text"))
    untold = Thinking(text="So")
    messages = (HI, message("assistant", told, untold, CALL), DONE)
    first, *_ = render_items(messages, QUIRKS, Maker("acme"))[1:]
    assert first["id"].startswith("rs_")
    assert first["content"] == [{"type": "reasoning_text", "text": "Hm"}]
    assert (first["type"], first["summary"]) == ("reasoning", [])
    open_maker = Maker("acme")
    open_maker.reasons_openly = True
    kinds = [item.get("type") for item in render_items(messages, QUIRKS, open_maker)]
    assert kinds == [None, "reasoning", "reasoning", "function_call", "function_call_output"]
    secretive = ResponsesQuirks(takes_plain_reasoning=False)
    kinds = [item.get("type") for item in render_items(messages, secretive, open_maker)]
    assert kinds == [None, "function_call", "function_call_output"]


def test_custom_tools() -> None:
    call = ToolCall(id="c", name="p", arguments=wrap_input('say "hi"'))
    other = ToolCall(id="d", name="f", arguments="{}")
    results = (DONE, message("tool", ToolResult(id="d", parts=(Text(text="2"),))))
    items = render_items((HI, message("assistant", call, other), *results), QUIRKS, MAKER, {"p"})
    assert items[1:] == [
        {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": 'say "hi"'},
        {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
        {"type": "function_call_output", "call_id": "d", "output": "2"},
    ]


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_what_cannot_stand_there(role: Role) -> None:
    part: Part = Image(url="https://a.example") if role == "assistant" else Thinking(text="Hm")
    with pytest.raises(CallerError, match="cannot stand in"):
        render_items((message(role, part),), QUIRKS, MAKER)
