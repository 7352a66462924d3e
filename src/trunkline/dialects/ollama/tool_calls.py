"""Tool calls in Ollama's form, which requests and answers share: their ids and arguments."""

from __future__ import annotations

import random

import msgspec

from trunkline.dialects.tool_arguments import open_arguments
from trunkline.errors import UPSTREAM_PROTOCOL, ProviderError


def new_call_id() -> str:
    """Return an id for a tool call, in the form of Ollama's own ids."""
    return "call_" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8))


def argument_text(raw: msgspec.Raw) -> str:
    """Return a call's ``arguments`` as the JSON text of an object: Ollama sends the object, look-alikes send
    its text, or nothing of the kind.

    Raises:
        ProviderError: ``raw`` holds something else than an object.
    """
    data = bytes(raw)
    if data.startswith(b"{"):
        return data.decode()
    text = open_arguments(data.decode())
    if data.startswith(b'"') and text == data.decode():  # a text that is no JSON: the model's own mistake
        return msgspec.json.decode(data, type=str)
    if not text.startswith("{"):
        raise ProviderError("The upstream sent tool arguments that are not an object", UPSTREAM_PROTOCOL)
    return text
