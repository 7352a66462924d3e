"""The model that a form of several parts (RFC 7578) names, read and replaced.

The paths that are relayed take such forms besides JSON: a file to upload stands in one.
"""

from __future__ import annotations

import re
from typing import Final

_MODEL_PART: Final = re.compile(
    rb'(\r\ncontent-disposition: *form-data; *name="?model"?(?:;[^\r\n]*)?\r\n'  # the part's head, begun
    rb"(?:[^\r\n]+\r\n)*\r\n)"  # and ended
    rb"([^\r\n]*)",
    re.IGNORECASE,
)
"""The part of a form that names the model, and the name."""


def is_form(body: bytes) -> bool:
    """Whether a body is a form of several parts."""
    return body.startswith(b"--")


def read_model(form: bytes) -> str | None:
    """Return the model that a form names, if it names one."""
    part = _MODEL_PART.search(form)
    return None if part is None else part[2].decode("utf-8", "replace")


def replace_model(form: bytes, model: str) -> bytes:
    """Return ``form`` with ``model`` in the place of the model that it names."""
    return _MODEL_PART.sub(lambda part: part[1] + model.encode(), form, count=1)
