"""Errors that are not errors: what looks like one, and is none."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.error_words import find_hidden, find_words, read_text


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        5,
        {"id": "c", "message": "hi"},
        {"message": {"role": "assistant", "content": "hi"}},
        {"base_resp": {"status_code": 0, "status_msg": ""}},
        {"prompt_filter_results": [], "choices": []},
    ],
)
def test_no_error(value: Any) -> None:
    assert find_hidden(value) is None


def test_several_words_are_joined() -> None:
    details = {"detail": [{"loc": ["body", 0], "msg": "is wrong"}, {"msg": "and more"}]}
    assert find_words(details) == "body.0: is wrong; and more"


def test_depth_has_a_bound() -> None:
    value: Any = "deep"
    for _ in range(50):
        value = {"message": value}
    assert find_words(value) == ""


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no healthy upstream\n", "no healthy upstream"),
        (b"<html><TITLE>\n502 Bad &amp; Gateway</TITLE></html>", "502 Bad & Gateway"),
        (b"<h1>Not <b>found</b></h1>", "Not found"),
        (b"<html></html>", ""),
    ],
)
def test_bodies_that_are_no_json(body: bytes, words: str) -> None:
    assert read_text(body) == words
