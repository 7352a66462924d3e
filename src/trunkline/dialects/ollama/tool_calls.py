"""Tool calls in Ollama's form, which requests and answers share: their ids and arguments."""

from __future__ import annotations

import random

import msgspec

from trunkline.dialects.tool_arguments import open_arguments


def new_call_id() -> str:
    """Return an id for a tool call, in the form of Ollama's own ids."""
    return "call_" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))


def argument_text(raw: msgspec.Raw) -> str:
    """Return a call's ``arguments`` as the JSON text of an object: Ollama sends the object, look-alikes send
    its text, or another value in its place."""
    data = bytes(raw)
    return data.decode() if data.startswith(b"{") else open_arguments(data.decode())
