"""The model that a form names."""

from __future__ import annotations

import pytest

from trunkline.dialects.openai.parse_form import is_form, read_model, replace_model


def form(head: bytes, value: bytes = b"m") -> bytes:
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nmodel\r\n'
    return file + b"--b\r\n" + head + b"\r\n\r\n" + value + b"\r\n--b--\r\n"


HEADS = {
    "plain": b'Content-Disposition: form-data; name="model"',
    "without quotes": b"Content-Disposition: form-data; name=model",
    "in lower case": b'content-disposition: form-data; name="model"',
    "with a type": b'Content-Disposition: form-data; name="model"\r\nContent-Type: text/plain',
    "with a parameter": b'Content-Disposition: form-data; name="model"; x=y',
}


@pytest.mark.parametrize("case", HEADS)
def test_the_model_is_read_and_replaced(case: str) -> None:
    body = form(HEADS[case])
    assert is_form(body)
    assert read_model(body) == "m"
    assert replace_model(body, "up") == form(HEADS[case], b"up")


def test_a_form_without_a_model_stays() -> None:
    body = form(b'Content-Disposition: form-data; name="prompt"')
    assert read_model(body) is None
    assert replace_model(body, "up") == body


def test_a_model_that_is_not_utf8() -> None:
    assert read_model(form(HEADS["plain"], b"\xff")) == "\ufffd"


def test_json_is_no_form() -> None:
    assert not is_form(b'{"model":"m"}')
