"""What an answer says, whatever its shape: for clients that get a vendor's own answer passed through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tests.gateways import Answer

_TEXTS: Final = ("content", "text", "response")
_NOT_SAID: Final = ("thinking", "reasoning", "reasoning_content", "reasoning_details", "usage", "error")


def said(answer: Answer) -> str:
    """All texts of an answer, joined; a stream's final repetition of the whole is no part of it."""
    return "".join(text for body in bodies(answer) for text in _texts(body))


def bodies(answer: Answer) -> Iterator[Any]:
    """The JSON values of an answer: its body, its events or its lines."""
    text = answer.body.decode("utf-8", "replace").lstrip("\ufeff").strip()
    try:
        yield msgspec.json.decode(text)
    except msgspec.DecodeError:
        for record in text.replace("\r\n", "\n").split("\n\n" if "data:" in text else "\n"):
            lines = record.split("\n")
            data = [line[5:] for line in lines if line.startswith("data:")] or [record]
            try:
                yield msgspec.json.decode("".join(data))
            except msgspec.DecodeError:
                continue


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    if not isinstance(value, dict):
        return
    kind = value.get("type")
    if isinstance(kind, str) and kind.startswith("response.") and kind != "response.output_text.delta":
        return
    if kind == "response.output_text.delta":
        yield value["delta"]
        return
    if kind == "thinking":
        return
    for name, each in value.items():
        if name in _NOT_SAID:
            continue
        if name in _TEXTS and isinstance(each, str):
            yield each
        else:
            yield from _texts(each)
