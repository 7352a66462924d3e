"""The JSON body of a request that asks no model."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.errors import INVALID_JSON, CallerError


def json_object(body: bytes) -> dict[str, Any]:
    """The object in a request's body.

    Raises:
        CallerError: 400, in Ollama's wording.
    """
    if not body.strip():
        raise CallerError("missing request body")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(f"invalid JSON: {error}", INVALID_JSON) from None
