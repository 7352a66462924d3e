"""The fields of Ollama's requests that ask no model."""

from __future__ import annotations

import pytest

from trunkline.errors import CallerError
from trunkline.server.endpoints.ollama.fields import read_fields


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"model":"m"}', {"model": "m"}),
        (b'{"Name":"m","From":"x","Other":1} {', {"name": "m", "from": "x", "Other": 1}),
        (rb'{"model":"\ud83d"}', {"model": "\ufffd"}),
    ],
)
def test_fields(body: bytes, fields: object) -> None:
    assert read_fields(body) == fields


@pytest.mark.parametrize(
    ("body", "words"), [(b" ", "missing request body"), (b"{", "invalid JSON"), (b"[]", "invalid JSON")]
)
def test_what_is_no_object(body: bytes, words: str) -> None:
    with pytest.raises(CallerError, match=words):
        read_fields(body)
