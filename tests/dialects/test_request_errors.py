"""How an error in a client's bytes is reported: with the path of its field."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.dialects.request_errors import decode, invalid, missing, split_data_url, unsupported
from trunkline.errors import INVALID_JSON, INVALID_REQUEST, UNSUPPORTED, CallerError, Kind


class Inner(msgspec.Struct):
    x: int


class Outer(msgspec.Struct):
    inner: list[Inner]


DECODER = msgspec.json.Decoder(Outer)


@pytest.mark.parametrize(
    ("data", "path", "kind", "param", "message"),
    [
        (b"", "", INVALID_JSON, None, "The request body is empty"),
        (b"{", "", INVALID_JSON, None, "The request body is not JSON: "),
        (b"[]", "", INVALID_REQUEST, None, "The request body is not a JSON object of the right form: "),
        (b"{}", "", INVALID_REQUEST, "inner", "Missing required parameter: 'inner'"),
        (b"{}", "a[1]", INVALID_REQUEST, "a[1].inner", "Missing required parameter: 'a[1].inner'"),
        (b'{"inner":[{}]}', "", INVALID_REQUEST, "inner[0].x", "Missing required parameter: 'inner[0].x'"),
        (
            b'{"inner":[{"x":"y"}]}',
            "a[1]",
            INVALID_REQUEST,
            "a[1].inner[0].x",
            "Invalid 'a[1].inner[0].x': Expected `int`",
        ),
        (b"7", "a[1]", INVALID_REQUEST, "a[1]", "Invalid 'a[1]': Expected `object`"),
    ],
)
def test_decoding_errors(data: bytes, path: str, kind: Kind, param: str | None, message: str) -> None:
    with pytest.raises(CallerError) as caught:
        decode(DECODER, data, path)
    assert (caught.value.kind, caught.value.param) == (kind, param)
    assert caught.value.message.startswith(message)


def test_errors_of_fields() -> None:
    for error, kind in (
        (missing("a.b"), INVALID_REQUEST),
        (invalid("a.b", "no"), INVALID_REQUEST),
        (unsupported("This", "a.b"), UNSUPPORTED),
    ):
        assert (error.kind, error.param, error.status) == (kind, "a.b", 400)
        assert "'a.b'" in error.message


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("data:image/png;base64,QUJD", ("image/png", "QUJD")),
        ("data:;base64,QUJD", (None, "QUJD")),
        ("data:image/svg+xml;charset=utf-8;base64,QUJD", ("image/svg+xml", "QUJD")),
    ],
)
def test_data_urls(url: str, parts: tuple[str | None, str]) -> None:
    assert split_data_url(url, "a") == parts


@pytest.mark.parametrize("url", ["data:image/png", "data:image/png,x", "data:,"])
def test_data_urls_of_another_form(url: str) -> None:
    with pytest.raises(CallerError, match="data:TYPE;base64,DATA"):
        split_data_url(url, "a")
