"""Pictures, sounds and files are known by their fields, and counted as vendors count them."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec
import pytest

from trunkline.policy.media import (
    MOST_IMAGE_TOKENS,
    MOST_PAGES,
    NO_MEDIA,
    TOKENS_PER_PAGE,
    image_tokens,
    media_in,
)

DATA = base64.b64encode(bytes(3000)).decode()
URL = f"data:image/png;base64,{DATA}"


def message(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts), **more}]}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}

IMAGES: list[dict[str, Any]] = [
    message({"type": "image_url", "image_url": {"url": URL}}),
    message({"type": "image_url", "image_url": URL}),
    message(IMAGE),
    message({"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}),
    message({"type": "file", "file": {"file_data": URL}}),
    {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]},
    {"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": URL}]}]},
    {"input": [{"type": "computer_call_output", "output": {"type": "input_image", "image_url": URL}}]},
    {"messages": [{"role": "user", "content": "look", "images": [DATA]}]},
    {"prompt": "look", "images": [DATA]},
]


@pytest.mark.parametrize("fields", IMAGES)
def test_images(fields: dict[str, Any]) -> None:
    media = media_in(msgspec.json.encode(fields))
    assert media.tokens == MOST_IMAGE_TOKENS
    assert len(DATA) <= media.size <= len(URL) + 2


@pytest.mark.parametrize(
    "fields",
    [
        message({"type": "text", "text": URL}),
        message({"type": "tool_use", "name": "f", "input": {"image_url": URL, "images": [DATA]}}),
        message({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": DATA}}),
        message({"type": "file", "file": {"file_data": "data:text/plain;base64," + DATA}}),
        {"messages": [{"role": "user", "content": URL}], "metadata": {"image_url": URL}},
        {"tools": [{"function": {"description": URL, "parameters": {"images": [DATA]}}}]},
        {"input": [URL, DATA]},
        {"input": URL},
        {"prompt": URL},
        {"messages": [1, 2], "images": "x"},
        {"messages": {"image_url": URL}},
        [URL],
    ],
)
def test_texts(fields: Any) -> None:
    assert media_in(msgspec.json.encode(fields)) == NO_MEDIA


def test_two_parts_in_one_are_counted_both_ways() -> None:
    body = b'{"messages":[{"content":[{"type":"text","text":"%s","type":"image_url","image_url":"%s"}]}]}'
    body %= (DATA.encode(), URL.encode())
    media = media_in(body)
    assert len(body) - media.size > len(DATA)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 5000, b'{"messages":' + b"[" * 5000])
def test_what_cannot_be_read_is_text(body: bytes) -> None:
    assert media_in(body) == NO_MEDIA


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(4000)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(4000)


def jpeg(width: int, height: int) -> bytes:
    head = b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14)
    return head + b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width) + bytes(4000)


@pytest.mark.parametrize("make", [png, gif, jpeg])
@pytest.mark.parametrize("size", [(64, 64), (1024, 1024), (4000, 300)])
def test_the_size_of_a_picture_counts(make: Any, size: tuple[int, int]) -> None:
    data = base64.b64encode(make(*size)).decode()
    media = media_in(msgspec.json.encode({"prompt": "look", "images": [data]}))
    assert media.tokens == image_tokens(size)


@pytest.mark.parametrize(
    ("size", "least"),
    [
        ((1024, 1024), 765),  # OpenAI's example
        ((2048, 4096), 1105),  # the same
        ((1092, 1092), 1590),  # Anthropic's example
    ],
)
def test_a_picture_counts_as_much_as_any_vendor_says(size: tuple[int, int], least: int) -> None:
    assert least <= image_tokens(size) <= MOST_IMAGE_TOKENS


def test_a_model_that_counts_more() -> None:
    assert image_tokens((1024, 1024), "gpt-4o-mini") == 2833 + 4 * 5667
    assert image_tokens(None, "gpt-4o-mini") > 25_000


def sound(data: bytes) -> int:
    part = {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": "wav"}}
    return media_in(msgspec.json.encode(message(part))).tokens


def test_sounds_count_by_their_duration() -> None:
    wave = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 24000, 48000, 2, 16)
    assert sound(wave + bytes(48000 * 10 - len(wave))) == 320
    assert sound(bytes(10_000)) == 320


@pytest.mark.parametrize(
    ("data", "tokens"),
    [
        (b"%PDF-1.7 /Type /Pages /Type /Page /Type/Page", 2 * TOKENS_PER_PAGE),
        (b"%PDF-1.7 /ObjStm /Type /Page" + bytes(2972), 1000),
        (b"%PDF" + b"/Type/Page " * 1000, MOST_PAGES * TOKENS_PER_PAGE),
    ],
)
def test_files_count_by_their_pages(data: bytes, tokens: int) -> None:
    text = base64.b64encode(data).decode()
    source = {"type": "base64", "media_type": "application/pdf", "data": text}
    part = {"type": "document", "source": source}
    assert media_in(msgspec.json.encode(message(part))).tokens == tokens
