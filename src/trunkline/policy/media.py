"""Pictures, sounds and files in a request, and the tokens that vendors count for them.

They are known by the field that they stand in, of any dialect: a text that looks like one is a text. What
stands in such a field is read as a text by nobody. Sources: the pages of OpenAI, Anthropic and Google on how
images, audio and documents are counted.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from math import ceil
from typing import Final, NamedTuple

import msgspec

MOST_IMAGE_TOKENS: Final = 4784
"""Of one image whose size is not known: the most that a vendor counts (Anthropic, for its largest)."""
TOKENS_PER_SECOND: Final = 32
"""Of sound: the most that a vendor counts (Google)."""
TOKENS_PER_PAGE: Final = 4600
"""Of a document: a dense page of text, and the picture of that page."""
MOST_PAGES: Final = 600
"""The maximum number of pages that a vendor takes."""
_LEAST_BYTES_PER_SECOND: Final = 1000
"""Of sound that is compressed as far as speech bears it."""
_BYTES_PER_TOKEN: Final = 3
"""Of a document whose pages cannot be counted."""
_BYTES_FOR_SIZE: Final = 64 * 1024
"""The beginning of a picture in which its size is looked for."""
_NOTHING: Final = msgspec.Raw(b"null")
_MANY_TOKENS: Final = ("4o-mini",)
"""Parts of the names of models that count 33 times as many tokens for each tile, at a lower price."""


class Media(NamedTuple):
    """What a request has besides text."""

    size: int
    """Bytes of its body that are no text."""
    tokens: int
    """What vendors count for them at most."""


NO_MEDIA: Final = Media(0, 0)


class _Body(msgspec.Struct):
    model: msgspec.Raw = _NOTHING
    messages: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    system: msgspec.Raw = _NOTHING
    images: msgspec.Raw = _NOTHING


class _Message(msgspec.Struct):
    """A message, or an item of a Responses request."""

    content: msgspec.Raw = _NOTHING
    output: msgspec.Raw = _NOTHING
    images: msgspec.Raw = _NOTHING


class _Part(msgspec.Struct):
    image_url: msgspec.Raw = _NOTHING
    input_audio: msgspec.Raw = _NOTHING
    source: msgspec.Raw = _NOTHING
    file: msgspec.Raw = _NOTHING
    file_data: msgspec.Raw = _NOTHING
    content: msgspec.Raw = _NOTHING


class _Holder(msgspec.Struct):
    """The object that a part has: all that one of them may have."""

    type: msgspec.Raw = _NOTHING
    media_type: msgspec.Raw = _NOTHING
    url: msgspec.Raw = _NOTHING
    data: msgspec.Raw = _NOTHING
    file_data: msgspec.Raw = _NOTHING
    format: msgspec.Raw = _NOTHING


_OBJECTS: Final = re.compile(rb"\[\s*\{").match
_decode_body: Final = msgspec.json.Decoder(_Body).decode
_decode_messages: Final = msgspec.json.Decoder(list[_Message]).decode
_decode_parts: Final = msgspec.json.Decoder(list[_Part]).decode
_decode_part: Final = msgspec.json.Decoder(_Part).decode
_decode_holder: Final = msgspec.json.Decoder(_Holder).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def media_in(body: bytes) -> Media:
    """Return what of a request's body is no text. A body of a form that no dialect has is all text."""
    try:
        fields = _decode_body(body)
        found = list(_in_body(fields))
    except (ValueError, RecursionError):
        return NO_MEDIA
    if not found:
        return NO_MEDIA
    model = bytes(fields.model)
    return Media(sum(len(each.raw) for each in found), sum(each.tokens(model) for each in found))


class _Found(NamedTuple):
    """One picture, sound or file."""

    kind: str
    raw: bytes
    """Its value in the body: a JSON string."""

    def tokens(self, model: bytes) -> int:
        """What a vendor counts for it at most."""
        if self.kind == "image":
            return image_tokens(_image_size(self.raw), model.decode("utf-8", "replace"))
        data = _decoded(self.raw)
        return _audio_tokens(data) if self.kind == "audio" else _file_tokens(data)


def _in_body(fields: _Body) -> Iterator[_Found]:
    yield from _in_list(fields.images)
    yield from _in_parts(fields.system)
    for given in fields.messages, fields.input:
        if not _holds_objects(given):
            continue
        for message in _decode_messages(given):
            yield from _in_parts(message.content)
            yield from _in_parts(message.output)
            yield from _in_list(message.images)


def _holds_objects(given: msgspec.Raw) -> bool:
    """Whether it is a list that holds objects: that of an embedding holds texts or numbers."""
    return _OBJECTS(given) is not None


def _in_list(images: msgspec.Raw) -> Iterator[_Found]:
    """Ollama's ``images``: a list of texts in base64."""
    if bytes(images).startswith(b"["):
        for each in _decode_list(images):
            if bytes(each).startswith(b'"'):
                yield _Found("image", bytes(each))


def _in_parts(content: msgspec.Raw) -> Iterator[_Found]:
    data = bytes(content)
    if data.startswith(b"{"):
        parts = [_decode_part(data)]
    elif _holds_objects(content):
        parts = _decode_parts(data)
    else:
        return
    for part in parts:
        for kind, given in (
            ("image", part.image_url),
            ("audio", part.input_audio),
            ("source", part.source),
            ("file", part.file),
            ("file", part.file_data),
        ):
            if given is not _NOTHING:
                yield from _in_holder(kind, bytes(given))
        yield from _in_parts(part.content)


def _in_holder(kind: str, given: bytes) -> Iterator[_Found]:
    if given.startswith(b'"'):
        yield from _of_kind(kind, given)
    elif given.startswith(b"{"):
        holder = _decode_holder(given)
        if kind == "source":
            if bytes(holder.type) == b'"text"' or bytes(holder.media_type).startswith(b'"text/'):
                return
            kind = "file" if bytes(holder.media_type).startswith(b'"application/') else "image"
        for value in holder.url, holder.data, holder.file_data:
            if bytes(value).startswith(b'"'):
                yield from _of_kind(kind, bytes(value))


def _of_kind(kind: str, value: bytes) -> Iterator[_Found]:
    if kind == "file" and value.startswith((b'"data:text/', b'"data:application/json')):
        return
    if kind == "file" and value.startswith(b'"data:image/'):
        kind = "image"
    yield _Found(kind, value)


# What vendors count


def image_tokens(size: tuple[int, int] | None, model: str = "") -> int:
    """Return the tokens of a picture: the most that one of the vendors' rules gives.

    Args:
        size: Its width and height; None if they are not known.
        model: The model's name.
    """
    tile = any(each in model for each in _MANY_TOKENS)
    if size is None or min(size) < 1:
        return _tile_tokens(2048, 768, many=True) if tile else MOST_IMAGE_TOKENS
    width, height = size
    by_tiles = _tile_tokens(width, height, many=tile)
    by_area = min(MOST_IMAGE_TOKENS, ceil(width * height / 750))
    by_patches = ceil(min(1536, ceil(width / 32) * ceil(height / 32)) * 2.46)
    return max(by_tiles, by_area, by_patches)


def _tile_tokens(width: int, height: int, *, many: bool) -> int:
    """OpenAI's rule: fitted into 2048 pixels, then the short side to 768, in tiles of 512."""
    shrink = min(1.0, 2048 / max(width, height))
    shrink = min(shrink, 768 / max(1, min(width, height)))
    tiles = ceil(max(1, width * shrink) / 512) * ceil(max(1, height * shrink) / 512)
    return 2833 + 5667 * tiles if many else 85 + 170 * tiles


def _image_size(value: bytes) -> tuple[int, int] | None:
    """The width and height of a picture that is there by value."""
    data = _decoded(value, _BYTES_FOR_SIZE)
    if data.startswith(b"\x89PNG") and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:4] == b"GIF8" and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = data[at + 5 : at + 7], data[at + 7 : at + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        at += 2 + max(2, size)
    return None


def _audio_tokens(data: bytes) -> int:
    rate = _LEAST_BYTES_PER_SECOND
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        rate = max(rate, int.from_bytes(data[28:32], "little"))
    return ceil(len(data) / rate * TOKENS_PER_SECOND)


_PAGE: Final = re.compile(rb"/Type\s*/Page\b(?!s)")


def _file_tokens(data: bytes) -> int:
    """Of a document whose pages are not hidden in compressed objects they are counted."""
    pages = 0 if b"/ObjStm" in data else len(_PAGE.findall(data))
    by_size = ceil(len(data) / _BYTES_PER_TOKEN)
    return min(pages, MOST_PAGES) * TOKENS_PER_PAGE if pages else min(by_size, MOST_PAGES * TOKENS_PER_PAGE)


def _decoded(value: bytes, limit: int | None = None) -> bytes:
    """The bytes of a JSON string in base64, of a data URL too; none if it is something else."""
    text = value[1:-1]
    head, comma, _ = text[:256].partition(b";base64,")
    if comma:
        text = text[len(head) + len(comma) :]
    elif b":" in text[:16]:
        return b""
    if limit is not None:
        text = text[: limit // 3 * 4]
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
