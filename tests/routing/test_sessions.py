"""Sessions: which requests belong together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.routing.sessions import find_session

SYSTEM = {"role": "system", "content": "Be brief."}
FIRST = {"role": "user", "content": "Hello!"}


def session(body: Any, *headers: tuple[bytes, bytes]) -> bytes | None:
    return find_session(headers, body if isinstance(body, bytes) else msgspec.json.encode(body))


def test_a_header_names_it() -> None:
    assert session({"messages": [FIRST]}, (b"x-session-id", b"abc")) == b"abc"
    assert session({"messages": [FIRST]}, (b"x-session-id", b"")) == session({"messages": [FIRST]})


def test_every_turn_of_a_conversation_is_one_session() -> None:
    turns = [SYSTEM, FIRST, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "And now?"}]
    assert (
        session({"messages": turns[:2]}) == session({"messages": turns}) != session({"messages": turns[1:]})
    )
    assert session({"model": "a", "messages": turns}) != session({"model": "b", "messages": turns})


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
    assert (session(one) == session(other)) == same


@pytest.mark.parametrize("body", [b"", b"{", b'{"messages":7}', b"{}", b'"\xff"'])
def test_bodies_without_a_session(body: bytes) -> None:
    assert session(body) is None


def test_the_turns_of_the_responses_api_are_one_session() -> None:
    turns = [SYSTEM, FIRST, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "And now?"}]
    assert session({"input": turns[:2]}) == session({"input": turns})
    assert session({"input": turns[:2]}) != session({"input": [SYSTEM, turns[3]]})
