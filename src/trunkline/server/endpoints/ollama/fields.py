"""The fields of Ollama's requests that ask no model, read as Ollama reads them."""

from __future__ import annotations

from typing import Any, Final

from trunkline.dialects.ollama import go_json
from trunkline.errors import INVALID_JSON, CallerError
from trunkline.server.endpoints.request_body import json_object

NAMES: Final = frozenset(
    (
        *("model", "name", "verbose", "system", "template", "options", "insecure", "stream", "username"),
        *("password", "from", "files", "adapters", "draft_files", "license", "parameters", "messages"),
        *("quantize", "quantization", "modelfile", "path", "source", "destination"),
    )
)
"""Fields of these requests (``api/types.go``). Go finds them in any case of their letters."""


def read_fields(body: bytes) -> dict[str, Any]:
    """The object in a request's body, its fields in lower case.

    Raises:
        CallerError: 400, in Ollama's wording.
    """
    try:
        fields = json_object(body)
    except CallerError as error:
        repaired = go_json.repair(body) if error.kind is INVALID_JSON else None
        if repaired is None or repaired == body:
            raise
        fields = json_object(repaired)
    return {name.lower() if name.lower() in NAMES else name: value for name, value in fields.items()}
