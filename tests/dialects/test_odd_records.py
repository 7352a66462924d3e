"""Payloads that are not one record each."""

from __future__ import annotations

import pytest

from trunkline.dialects.odd_records import split_records

CASES: dict[str, tuple[bytes, list[bytes] | None]] = {
    "one record": (b'{"a":1}', None),
    "broken JSON": (b'{"a":', None),
    "a record over several lines": (b'{\n"a":1}', None),
    "text": (b"BOOM words", None),
    "several lines of text": (b"BOOM\nwords", None),
    "a number": (b"7", None),
    "a list": (b"[" * 9, None),
    "two records": (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
    "a record and the end": (b'{"a":1}\n[DONE]', [b'{"a":1}', b"[DONE]"]),
    "marked twice": (b'data: {"a":1}', [b'{"a":1}']),
    "another end": (b'"[done]"', [b"[DONE]"]),
    "a heartbeat": (b"ping", []),
    "a heartbeat in brackets": (b"[HEARTBEAT]", []),
    "nothing": (b"null", []),
    "a heartbeat and a record": (b': keep-alive\n{"a":1}'.removeprefix(b": "), [b'{"a":1}']),
}


@pytest.mark.parametrize(("payload", "records"), CASES.values(), ids=CASES.keys())
def test_records(payload: bytes, records: list[bytes] | None) -> None:
    assert split_records(payload) == records
