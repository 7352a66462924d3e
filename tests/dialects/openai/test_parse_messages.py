from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.openai.parse import parse_chat
from trunkline.errors import INVALID_REQUEST, UNSUPPORTED, CallerError, Kind
from trunkline.model import Audio, Document, Image, Message, Part, Text, Thinking, ToolCall, ToolResult

PNG = "iVBORw0KGgo="


def read(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return parse_chat(msgspec.json.encode({"model": "m", "messages": messages})).messages


ROLES: dict[str, tuple[dict[str, Any], Message]] = {
    "system": (
        {"role": "system", "content": "Be kind", "name": "boss"},
        Message(role="system", parts=(Text(text="Be kind"),), name="boss"),
    ),
    "developer": (
        {"role": "developer", "content": [{"type": "text", "text": "Be kind"}]},
        Message(role="system", parts=(Text(text="Be kind"),)),
    ),
    "user": (
        {"role": "user", "content": "Hi", "name": "ann"},
        Message(role="user", parts=(Text(text="Hi"),), name="ann"),
    ),
    "no text": ({"role": "user", "content": ""}, Message(role="user", parts=())),
    "assistant": (
        {"role": "assistant", "content": "Hello", "refusal": None, "audio": None, "annotations": []},
        Message(role="assistant", parts=(Text(text="Hello"),)),
    ),
    "assistant refuses": (
        {"role": "assistant", "content": None, "refusal": "No"},
        Message(role="assistant", parts=(Text(text="No"),)),
    ),
    "assistant refuses in a part": (
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
        Message(role="assistant", parts=(Text(text="No"),)),
    ),
    "assistant thinks in a part": (
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}]},
        Message(role="assistant", parts=(Thinking(text="Hm"),)),
    ),
    "assistant thinks in pieces of a part": (
        {
            "role": "assistant",
            "content": [
                {
                    "type": "thinking",
                    "thinking": [{"type": "text", "text": "H"}, {"type": "text", "text": "m"}],
                    "closed": True,
                },
                {"type": "text", "text": "Hello"},
            ],
        },
        Message(role="assistant", parts=(Thinking(text="Hm"), Text(text="Hello"))),
    ),
    "assistant thinks": (
        {"role": "assistant", "reasoning_content": "Hm", "content": "Hello"},
        Message(role="assistant", parts=(Thinking(text="Hm"), Text(text="Hello"))),
    ),
    "assistant thinks, signed": (
        {
            "role": "assistant",
            "reasoning": "HmHa",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0, "format": "unknown"},
                {"type": "reasoning.text", "text": "Na", "signature": "g", "format": "google-gemini-v1"},
                {"type": "reasoning.encrypted", "data": "BB", "id": "trunkline:anthropic:redacted"},
                {"type": "reasoning.text", "text": "Ho", "signature": None},
                {"type": "reasoning.encrypted", "data": "AA", "signature": "u"},
                {"type": "reasoning.text", "signature": "t"},
            ],
            "content": "Hello",
        },
        Message(
            role="assistant",
            parts=(
                Thinking(text="Hm", signature="s"),
                Thinking(text="", signature="trunkline:anthropic:redacted:BB"),
                Thinking(text="", signature="t"),
                Text(text="Hello"),
            ),
        ),
    ),
    "assistant thinks, without a signature": (
        {
            "role": "assistant",
            "reasoning": "Hm",
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}],
            "content": "Hello",
        },
        Message(role="assistant", parts=(Thinking(text="Hm"), Text(text="Hello"))),
    ),
    "assistant calls": (
        {
            "role": "assistant",
            "content": "Let me see",
            "reasoning": "Hm",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                {"id": "", "type": "function", "function": {"name": "g", "arguments": {"x": 1}}},
                {"function": {"name": "h", "arguments": ""}},
            ],
        },
        Message(
            role="assistant",
            parts=(
                Thinking(text="Hm"),
                Text(text="Let me see"),
                ToolCall(id="a", name="f", arguments='{"x": 1}'),
                ToolCall(id=None, name="g", arguments='{"x":1}'),
                ToolCall(id=None, name="h", arguments="{}"),
            ),
        ),
    ),
    "assistant calls, legacy": (
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        Message(role="assistant", parts=(ToolCall(id=None, name="f", arguments="{}"),)),
    ),
    "tool": (
        {"role": "tool", "tool_call_id": "a", "content": "42"},
        Message(role="tool", parts=(ToolResult(id="a", parts=(Text(text="42"),)),)),
    ),
    "tool, in parts": (
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "42"}]},
        Message(role="tool", parts=(ToolResult(id="a", parts=(Text(text="42"),)),)),
    ),
    "tool without words": (
        {"role": "tool", "tool_call_id": "a", "content": None},
        Message(role="tool", parts=(ToolResult(id="a", parts=()),)),
    ),
    "function": (
        {"role": "function", "name": "f", "content": "42"},
        Message(role="tool", parts=(ToolResult(id=None, name="f", parts=(Text(text="42"),)),)),
    ),
}


@pytest.mark.parametrize("case", ROLES)
def test_each_role(case: str) -> None:
    sent, expected = ROLES[case]
    assert read(sent) == (expected,)


PARTS: dict[str, tuple[dict[str, Any], Part]] = {
    "text": ({"type": "text", "text": "Hi"}, Text(text="Hi")),
    "text to cache": (
        {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}},
        Text(text="Hi", cache=True),
    ),
    "image by value": (
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
        Image(data=PNG, media_type="image/png", detail="low"),
    ),
    "image by value, without a type": (
        {"type": "image_url", "image_url": {"url": f"data:;base64,{PNG}"}},
        Image(data=PNG),
    ),
    "image by value, with a parameter": (
        {"type": "image_url", "image_url": {"url": f"data:image/svg+xml;charset=utf-8;base64,{PNG}"}},
        Image(data=PNG, media_type="image/svg+xml"),
    ),
    "image by address": (
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        Image(url="https://example.com/a.png"),
    ),
    "image as a bare string": (
        {"type": "image_url", "image_url": "http://example.com/a.png"},
        Image(url="http://example.com/a.png"),
    ),
    "sound": (
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        Audio(data="AAAA", format="wav"),
    ),
    "file by value": (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
        Document(data="AAAA", media_type="application/pdf", name="a.pdf"),
    ),
    "file by bare value": ({"type": "file", "file": {"file_data": "AAAA"}}, Document(data="AAAA")),
    "file by id": ({"type": "file", "file": {"file_id": "file-1"}}, Document(file_id="file-1")),
}


@pytest.mark.parametrize("case", PARTS)
def test_each_part(case: str) -> None:
    sent, expected = PARTS[case]
    message = read({"role": "user", "content": [{"type": "text", "text": "See:"}, sent]})[0]
    assert message.parts == (Text(text="See:"), expected)


def _user(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [part]}


def _image(url: str) -> dict[str, Any]:
    return _user({"type": "image_url", "image_url": {"url": url}})


URL = "messages[1].content[0].image_url.url"
REFUSED: dict[str, tuple[dict[str, Any], Kind, str]] = {
    "a data URL without data": (_image("data:image/png"), INVALID_REQUEST, URL),
    "a data URL that is not base64": (_image("data:image/svg+xml,<svg/>"), INVALID_REQUEST, URL),
    "a file's address": (_image("file:///etc/passwd"), INVALID_REQUEST, URL),
    "bare base64": (_image(PNG), INVALID_REQUEST, URL),
    "no address": (_image(""), INVALID_REQUEST, URL),
    "a file's bad data URL": (
        _user({"type": "file", "file": {"file_data": "data:application/pdf,x"}}),
        INVALID_REQUEST,
        "messages[1].content[0].file.file_data",
    ),
    "a file that is nowhere": (
        _user({"type": "file", "file": {"filename": "a.pdf"}}),
        INVALID_REQUEST,
        "messages[1].content[0].file.file_data",
    ),
    "sound as a tool's result": (
        {
            "role": "tool",
            "tool_call_id": "a",
            "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
        },
        UNSUPPORTED,
        "messages[1].content[0]",
    ),
    "an earlier answer's sound": (
        {"role": "assistant", "audio": {"id": "audio_1"}},
        UNSUPPORTED,
        "messages[1].audio",
    ),
    "an unknown tool's call": (
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "other"}]},
        UNSUPPORTED,
        "messages[1].tool_calls[0].type",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_content_that_cannot_be_carried_is_named(case: str) -> None:
    sent, kind, param = REFUSED[case]
    with pytest.raises(CallerError) as caught:
        read({"role": "user", "content": "Hi"}, sent)
    assert (caught.value.kind, caught.value.param, caught.value.status) == (kind, param, 400)
    assert PNG not in caught.value.message
