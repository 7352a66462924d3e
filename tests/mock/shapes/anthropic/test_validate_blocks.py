"""Validation of the content blocks of Anthropic's requests."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from trunkline_mock.shapes.anthropic.validate_blocks import validate_blocks
from trunkline_mock.shapes.anthropic.write import sign_thinking
from trunkline_mock.shapes.base import VendorError

_ALL_TYPES = ("text", "image", "document", "thinking", "tool_use", "tool_result", "container_upload")
_PNG = base64.b64encode(b"\x89PNG" + bytes(16)).decode()
_JPEG = base64.b64encode(b"\xff\xd8\xff" + bytes(16)).decode()
_USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
_RESULT = {"type": "tool_result", "tool_use_id": "c1"}


def inline(**fields: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": _PNG, **fields}
    return {"type": "image", "source": {name: value for name, value in source.items() if value is not None}}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "citations": None},
        inline(),
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "text", "data": "x"}, "title": "t"},
        {"type": "thinking", "thinking": "hm", "signature": sign_thinking("hm")},
        {"type": "thinking", "thinking": "", "signature": sign_thinking("hm")},
        {**_USE, "caller": {"type": "direct"}},
        _RESULT,
        {**_RESULT, "content": "", "is_error": True},
        {**_RESULT, "content": [{"type": "text", "text": "x"}, inline()]},
        {"type": "container_upload", "anything": 1},
    ],
)
def test_valid_blocks(block: dict[str, Any]) -> None:
    validate_blocks([block], "content", _ALL_TYPES)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("x", "content.0: Input should be a valid dictionary"),
        ({"text": "x"}, "content.0.type: Field required"),
        ({"type": "image_url", "image_url": {}}, "content.0: Input tag 'image_url' found using 'type'"),
        ({"type": {}}, "content.0: Input tag '{}' found using 'type'"),
        ({"type": "text"}, "content.0.text.text: Field required"),
        ({"type": "text", "text": None}, "content.0.text.text: Input should be a valid string"),
        ({"type": "text", "text": ""}, "messages: text content blocks must be non-empty"),
        ({"type": "text", "text": "x", "id": 1}, "content.0.text.id: Extra inputs are not permitted"),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "always"}},
            "content.0.text.cache_control.type: Input should be 'ephemeral'",
        ),
        ({"type": "image", "source": "x"}, "content.0.image.source: Input should be a valid dictionary"),
        ({"type": "image", "source": {"type": "data"}}, "content.0.image.source: Input tag 'data' found"),
        (
            {"type": "image", "source": {"type": "url", "url": f"data:image/png;base64,{_PNG}"}},
            "content.0.image.source.url.url: Only HTTP and HTTPS URLs are supported.",
        ),
        ({"type": "image", "source": {"type": "url"}}, "content.0.image.source.url.url: Field required"),
        (inline(media_type=None), "content.0.image.source.base64.media_type: Field required"),
        (
            inline(media_type="image/bmp"),
            "content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', ",
        ),
        (inline(data=f"data:image/png;base64,{_PNG}"), "content.0.image.source.base64.data: Invalid base64"),
        (inline(data=None), "content.0.image.source.base64.data: Field required"),
        (inline(data=""), "content.0.image.source.base64: image cannot be empty"),
        (
            inline(data=_JPEG),
            "content.0.image.source.base64.data: The image was specified using the image/png",
        ),
        (inline(detail="low"), "content.0.image.source.base64.detail: Extra inputs are not permitted"),
        ({"type": "thinking", "thinking": "hm"}, "content.0.thinking.signature: Field required"),
        (
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            "content.0: Invalid `signature` in `thinking` block",
        ),
        ({**_USE, "input": "{}"}, "content.0.tool_use.input: Input should be a valid dictionary"),
        ({**_USE, "id": "call.1"}, "content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
        ({**_USE, "name": ""}, "content.0.tool_use.name: String should have at least 1 character"),
        ({"type": "tool_result"}, "content.0.tool_result.tool_use_id: Field required"),
        ({**_RESULT, "tool_use_id": "a b"}, "content.0.tool_result.tool_use_id: String should match pattern"),
        ({**_RESULT, "is_error": 1}, "content.0.tool_result.is_error: Input should be a valid boolean"),
        ({**_RESULT, "content": {}}, "content.0.tool_result.content: Input should be a valid list"),
        ({**_RESULT, "content": [_USE]}, "content.0.tool_result.content.0: Input tag 'tool_use' found"),
        ({**_RESULT, "name": "f"}, "content.0.tool_result.name: Extra inputs are not permitted"),
    ],
)
def test_invalid_blocks(block: Any, message: str) -> None:
    with pytest.raises(VendorError) as raised:
        validate_blocks([block], "content", _ALL_TYPES)
    assert raised.value.status == 400
    assert raised.value.message.startswith(message)


def test_content_that_is_not_a_list() -> None:
    with pytest.raises(VendorError, match="content: Input should be a valid list"):
        validate_blocks({}, "content", _ALL_TYPES)
