"""The first bytes of an answer, and what is left of one without events."""

from __future__ import annotations

import pytest

from trunkline.dialects.other_form import OtherForm, begins_events, is_lines, refuse_body, refuse_text


@pytest.mark.parametrize("data", [b'{"a":1}', b" \n[", b": wait\n\n{", b"\xef\xbb\xbf{", b"<html>"])
def test_bodies(data: bytes) -> None:
    with pytest.raises(OtherForm) as raised:
        refuse_body(data)
    assert raised.value.data == data
    assert not begins_events(data)


@pytest.mark.parametrize("data", [b"data: {}", b"event: x\n", b": wait\n\nid:1", b"retry: 5", b"\ndata:{"])
def test_streams(data: bytes) -> None:
    refuse_body(data)
    refuse_text(data)
    assert begins_events(data)


@pytest.mark.parametrize("rest", [b"", b"da", b"event", b": wait", b"\n\n"])
def test_a_cut_stream_is_no_text(rest: bytes) -> None:
    refuse_text(rest)


def test_a_text() -> None:
    with pytest.raises(OtherForm):
        refuse_text(b"upstream connect error")


def test_lines() -> None:
    assert is_lines(b'{"a":1}\n{"b":2}\n')
    assert not is_lines(b'{"a":1}\n')
    assert not is_lines(b'{\n"a":1}')
