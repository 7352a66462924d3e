"""The model that a form of several parts (RFC 7578) names, read and replaced.

The paths that are relayed take such forms besides JSON: a file to upload stands in one.
"""

from __future__ import annotations

import re
from typing import Final

from trunkline.dialects.field_names import fold
from trunkline.errors import INVALID_REQUEST, CallerError

_MODEL_PART: Final = re.compile(
    rb'(\r\ncontent-disposition: *form-data; *name="?model"?(?:;[^\r\n]*)?\r\n'  # the part's head, begun
    rb"(?:[^\r\n]+\r\n)*\r\n)"  # and ended
    rb"([^\r\n]*)",
    re.IGNORECASE,
)
"""The part of a form that names the model, and the name."""

_DISPOSITION: Final = b"content-disposition"
_LINE: Final = re.compile(rb"[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*")
"""A line of a part's head, and the lines that continue it."""
_NAME: Final = re.compile(rb'(?<![A-Za-z])name(\*[0-9*]*)?\s*=\s*("(?:[^"\\]|\\.)*"?|[^;\s]*)', re.IGNORECASE)
"""A part's name, whether it has an extended form (RFC 5987), and its value."""


def is_form(body: bytes) -> bool:
    """Whether a body is a form of several parts."""
    return body.startswith(b"--")


def read_model(form: bytes) -> str | None:
    """Return the model that a form names, if it names one.

    Raises:
        CallerError: 400, several parts may be read as the model, or one that has another form than usual.
    """
    part = _MODEL_PART.search(form)
    usual = -1 if part is None else part.start() + len(b"\r\n")
    lower, at = form.lower(), -1
    while (at := lower.find(_DISPOSITION, at + 1)) >= 0:
        line = _LINE.match(form, at)
        if at != usual and line is not None and _may_name_model(line[0]):
            text = "The form must name its model once, in a part 'form-data; name=\"model\"'"
            raise CallerError(text, INVALID_REQUEST, param="model")
    return None if part is None else part[2].decode("utf-8", "replace")


def _may_name_model(line: bytes) -> bool:
    """Whether some server may take a part with this head for the model."""
    for each in _NAME.finditer(line):
        value = each[2].strip(b' \t"')
        if each[1] or b"\\" in value or fold(value.decode("latin-1")) == "model":
            return True
    return False


def replace_model(form: bytes, model: str) -> bytes:
    """Return ``form`` with ``model`` in the place of the model that it names."""
    return _MODEL_PART.sub(lambda part: part[1] + model.encode(), form, count=1)
