"""What ties requests together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.routing.sessions import session_of

SYSTEM = {"role": "system", "content": "Be brief."}
FIRST = {"role": "user", "content": "Hello!"}


def of(body: Any, *headers: tuple[bytes, bytes]) -> bytes | None:
    return session_of(headers, body if isinstance(body, bytes) else msgspec.json.encode(body))


def test_a_header_names_it() -> None:
    assert of({"messages": [FIRST]}, (b"x-session-id", b"abc")) == b"abc"
    assert of({"messages": [FIRST]}, (b"x-session-id", b"")) == of({"messages": [FIRST]})


def test_every_turn_of_a_conversation_is_one_session() -> None:
    turns = [SYSTEM, FIRST, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "And now?"}]
    assert of({"messages": turns[:2]}) == of({"messages": turns}) != of({"messages": turns[1:]})
    assert of({"model": "a", "messages": turns}) != of({"model": "b", "messages": turns})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"prompt": "x" * 2000}, {"prompt": "x" * 3000}, True),
        ({"prompt": "one"}, {"prompt": "two"}, False),
        ({"system": "a", "prompt": "p"}, {"system": "b", "prompt": "p"}, False),
        ({"input": "one"}, {"input": "one"}, True),
    ],
)
def test_prompts(one: Any, other: Any, same: bool) -> None:
    assert (of(one) == of(other)) == same


@pytest.mark.parametrize("body", [b"", b"{", b'{"messages":7}', b"{}", b'"\xff"'])
def test_nothing_ties_these(body: bytes) -> None:
    assert of(body) is None
