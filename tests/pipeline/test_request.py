"""What a request says of itself."""

from __future__ import annotations

import pytest

from tests.pipeline.requests import make_request
from trunkline.dialects import ollama
from trunkline.pipeline.request import MAX_STORED_PROMPT, end_user_of, stored_prompt
from trunkline.policy.auth import ApiKey


@pytest.mark.parametrize(
    ("fields", "user"),
    [
        ({}, None),
        ({b"x-openwebui-user-name": b"n"}, b"n"),
        ({b"x-openwebui-user-name": b"n", b"x-openwebui-user-id": b"i"}, b"i"),
        ({b"x-openwebui-user-id": b"i", b"x-openwebui-user-email": b"e"}, b"e"),
        ({b"x-openwebui-user-id": b"i", b"x-openwebui-user-email": b""}, b"i"),
    ],
)
def test_the_user_whom_open_webui_names(fields: dict[bytes, bytes], user: bytes | None) -> None:
    assert end_user_of(fields) == user


def test_the_prompt_that_is_stored() -> None:
    assert stored_prompt("Grüße\0!".encode()) == "Grüße!"
    assert stored_prompt(b"\xff") == "�"
    assert len(stored_prompt(b"x" * 300_000)) == MAX_STORED_PROMPT


def test_what_a_request_says_of_itself() -> None:
    key = ApiKey(id="k", name="k", role="member", prefix="gw_", priority="high", local_only=True)
    request = make_request(b"{", key=key)
    assert (request.operation, request.is_local_only, request.priority) == ("chat", True, "high")
    low = make_request(b"{", key=key, headers=[(b"x-trunkline-priority", b"low")])
    other = make_request(b"{", key=key, headers=[(b"x-trunkline-priority", b"high"), (b"x", b"low")])
    assert (low.priority, other.priority, make_request(b"{").priority) == ("low", "high", "normal")
    assert not make_request(b"{").is_local_only
    assert make_request(b'{"model":"m","prompt":"x"}', ollama.GENERATE).operation == "chat"
