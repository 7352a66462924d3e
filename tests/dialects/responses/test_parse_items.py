"""Input items → messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.responses import RESPONSES
from trunkline.errors import INVALID_REQUEST, UNSUPPORTED, CallerError
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

body = msgspec.json.encode


def read(*items: Any) -> tuple[Message, ...]:
    return RESPONSES.parse(body({"model": "m", "input": list(items)})).messages


def user(*parts: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


def assistant(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def reasoning(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text}]
    return {"type": "reasoning", "id": "rs_1", "summary": [], "content": content} | more


def call(id: str) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": id, "name": "f", "arguments": '{"x":1}'}


def result(id: str, output: Any = "1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": output}


def _message(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def _answered(id: str) -> Message:
    return _message("tool", ToolResult(id=id, parts=(Text(text="1"),)))


A, B = (ToolCall(id=name, name="f", arguments='{"x":1}') for name in "ab")
HI, HM = Text(text="Hi"), Thinking(text="Hm")

TURNS: dict[str, tuple[list[Any], list[Message]]] = {
    "an easy message": ([{"role": "user", "content": "Hi"}], [_message("user", HI)]),
    "roles": (
        [{"role": role, "content": "Hi"} for role in ("system", "developer", "user", "assistant")],
        [_message("system", HI), _message("system", HI), _message("user", HI), _message("assistant", HI)],
    ),
    "empty ones": (
        [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}, user()],
        [_message("user"), _message("user")],
    ),
    "a turn of all kinds": (
        [reasoning("Hm"), assistant("Hi"), call("a"), call("b"), result("a"), result("b")],
        [_message("assistant", HM, HI, A, B), _answered("a"), _answered("b")],
    ),
    "calls one after the other": (
        [call("a"), result("a"), call("b"), result("b")],
        [_message("assistant", A), _answered("a"), _message("assistant", B), _answered("b")],
    ),
    "words between a call and its result": (
        [call("a"), assistant("Hi"), assistant("Hi"), reasoning("Hm"), call("b"), result("a")],
        [_message("assistant", A, HI, HI, HM, B), _answered("a")],
    ),
    "words after words": ([assistant("Hi"), assistant("Hi")], [_message("assistant", HI)] * 2),
    "thoughts after words": (
        [reasoning("Hm"), assistant("Hi"), reasoning("Hm"), assistant("Hi"), call("a")],
        [_message("assistant", HM, HI), _message("assistant", HM, HI, A)],
    ),
    "a turn ends with the next": (
        [assistant("Hi"), user({"type": "input_text", "text": "Hi"}), assistant("Hi")],
        [_message("assistant", HI), _message("user", HI), _message("assistant", HI)],
    ),
    "empty arguments": (
        [call("a") | {"arguments": ""}],
        [_message("assistant", ToolCall(id="a", name="f", arguments="{}"))],
    ),
    "an empty result": ([result("a", "")], [_message("tool", ToolResult(id="a", parts=()))]),
    "a result of parts": (
        [
            result(
                "a",
                [
                    {"type": "input_text", "text": "Hi"},
                    {"type": "input_image", "image_url": "https://example.com/a.png"},
                ],
            )
        ],
        [_message("tool", ToolResult(id="a", parts=(HI, Image(url="https://example.com/a.png"))))],
    ),
}


@pytest.mark.parametrize(("items", "expected"), TURNS.values(), ids=TURNS.keys())
def test_turns(items: list[Any], expected: list[Message]) -> None:
    assert list(read(*items)) == expected


THOUGHTS: dict[str, tuple[dict[str, Any], Thinking | None]] = {
    "text": ({}, HM),
    "a summary": (
        {"content": None, "summary": [{"type": "summary_text", "text": text} for text in ("Hm", "So")]},
        Thinking(text="Hm\n\nSo"),
    ),
    "our signature": ({"encrypted_content": "signature:s"}, Thinking(text="Hm", signature="signature:s")),
    "our signature alone": (
        {"content": [], "encrypted_content": "signature:s"},
        Thinking(text="", signature="signature:s"),
    ),
    "another's secret": ({"encrypted_content": "gAAAA"}, HM),
    "another's secret alone": ({"content": [], "encrypted_content": "gAAAA"}, None),
}


@pytest.mark.parametrize(("more", "expected"), THOUGHTS.values(), ids=THOUGHTS.keys())
def test_thoughts(more: dict[str, Any], expected: Thinking | None) -> None:
    assert read(reasoning("Hm", **more)) == (() if expected is None else (_message("assistant", expected),))


PARTS: dict[str, tuple[dict[str, Any], Part]] = {
    "text": ({"type": "input_text", "text": "Hi"}, HI),
    "cached text": (
        {"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}},
        Text(text="Hi", cache=True),
    ),
    "text of an answer": ({"type": "output_text", "text": "Hi", "annotations": []}, HI),
    "a refusal": ({"type": "refusal", "refusal": "Hi"}, HI),
    "an image": (
        {"type": "input_image", "detail": "low", "image_url": "data:image/webp;base64,QUJD"},
        Image(data="QUJD", media_type="image/webp", detail="low"),
    ),
    "an image's address": (
        {"type": "input_image", "detail": "auto", "image_url": "https://example.com/a.png"},
        Image(url="https://example.com/a.png", detail="auto"),
    ),
    "a file": (
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QUJD"},
        Document(data="QUJD", media_type="application/pdf", name="a.pdf"),
    ),
    "a bare file": ({"type": "input_file", "file_data": "QUJD"}, Document(data="QUJD")),
    "a file's id": ({"type": "input_file", "file_id": "file-1"}, Document(file_id="file-1")),
    "a file's address": (
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        Document(url="https://example.com/a.pdf"),
    ),
    "a sound": (
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        Audio(data="QUJD", format="wav"),
    ),
}


@pytest.mark.parametrize(("part", "expected"), PARTS.values(), ids=PARTS.keys())
def test_parts(part: dict[str, Any], expected: Part) -> None:
    assert read(user(part)) == (_message("user", expected),)


WRONG: list[tuple[Any, str]] = [
    (1, "input[0]"),
    ({}, "input[0].role"),
    ({"type": 1}, "input[0].type"),
    ({"role": "user"}, "input[0].content"),
    ({"role": "robot", "content": ""}, "input[0].role"),
    ({"role": 1, "content": ""}, "input[0].role"),
    ({"role": "user", "content": 1}, "input[0].content"),
    (user(1), "input[0].content[0]"),
    (user({}), "input[0].content[0].type"),
    (user({"type": "text", "text": "Hi"}), "input[0].content[0].type"),
    (user({"type": "input_text"}), "input[0].content[0].text"),
    (user({"type": "input_text", "text": 1}), "input[0].content[0].text"),
    (user({"type": "input_image"}), "input[0].content[0].image_url"),
    (user({"type": "input_image", "image_url": {"url": "x"}}), "input[0].content[0].image_url"),
    (user({"type": "input_image", "image_url": "ftp://x"}), "input[0].content[0].image_url"),
    (user({"type": "input_image", "image_url": "data:image/png,x"}), "input[0].content[0].image_url"),
    (user({"type": "input_file"}), "input[0].content[0].file_data"),
    (user({"type": "input_file", "file_data": "data:x"}), "input[0].content[0].file_data"),
    (user({"type": "input_audio", "input_audio": {"data": "x"}}), "input[0].content[0].input_audio.format"),
    ({"type": "function_call", "name": "f", "arguments": ""}, "input[0].call_id"),
    (call(""), "input[0].call_id"),
    (call("a") | {"name": None}, "input[0].name"),
    ({"type": "function_call_output", "output": ""}, "input[0].call_id"),
    ({"type": "function_call_output", "call_id": "a"}, "input[0].output"),
    (result("a", {}), "input[0].output"),
    (result("a", [{"type": "output_text", "text": "Hi"}]), "input[0].output[0].type"),
    ({"type": "custom_tool_call", "call_id": "a", "input": ""}, "input[0].name"),
    ({"type": "custom_tool_call", "name": "a", "input": ""}, "input[0].call_id"),
    ({"type": "shell_call", "call_id": "a"}, "input[0].action"),
    ({"type": "computer_call_output", "call_id": "a", "output": {}}, "input[0].output.image_url"),
    ({"type": "reasoning", "summary": "Hm"}, "input[0].summary"),
    ({"type": "reasoning", "content": [{"type": "reasoning_text"}]}, "input[0].content[0].text"),
    ({"type": "reasoning", "encrypted_content": 1}, "input[0].encrypted_content"),
]

REFUSED: list[tuple[Any, str]] = [
    ({"id": "msg_1"}, "input[0]"),
    ({"type": "item_reference", "id": "msg_1"}, "input[0]"),
    ({"type": "compaction", "encrypted_content": "x"}, "input[0].type"),
    ({"type": "multi_agent_call", "id": "x"}, "input[0].type"),
    (user({"type": "input_image", "file_id": "file-1"}), "input[0].content[0].file_id"),
]


@pytest.mark.parametrize(
    ("item", "param", "kind"),
    [(*pair, INVALID_REQUEST) for pair in WRONG] + [(*pair, UNSUPPORTED) for pair in REFUSED],
    ids=lambda value: str(value)[:60],
)
def test_a_wrong_item_is_named(item: Any, param: str, kind: object) -> None:
    with pytest.raises(CallerError) as caught:
        read(item)
    assert (caught.value.param, caught.value.kind, caught.value.status) == (param, kind, 400)
    assert f"'{param}'" in caught.value.message


def test_an_item_is_named_by_its_own_index() -> None:
    with pytest.raises(CallerError) as caught:
        read(user(), call("a"), result("a", 1))
    assert caught.value.param == "input[2].output"
