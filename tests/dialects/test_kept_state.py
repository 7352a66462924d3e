"""The store of what clients do not send back: found by key, conversation and call, and bounded."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.dialects.kept_state import KeptState
from trunkline.dialects.vendor_state import seal
from trunkline.events import ThinkingDelta, ToolCallDelta
from trunkline.model import ChatRequest, Message, Part, Text, Thinking, ToolCall

STATE = seal("plain", "extra", '{"s":1}')
SIGNED = Thinking(text="Hm", signature=seal("plain", "field", "reasoning"))
TURN: list[ThinkingDelta | ToolCallDelta] = [
    ThinkingDelta("H"),
    ThinkingDelta("m"),
    ThinkingDelta("", signature=SIGNED.signature),
    ToolCallDelta(0, "c1", "f", '{"a": 1,', state=STATE),
    ToolCallDelta(0, arguments=' "b": 2}'),
    ToolCallDelta(1, "c2", "g"),
]
CALLS = (
    ToolCall(id="c1", name="f", arguments='{"b":2,"a":1}'),
    ToolCall(id="c2", name="g", arguments="{}"),
)


def asking(*parts: Part, question: str = "Hi") -> ChatRequest:
    messages = [Message(role="user", parts=(Text(text=question),))]
    if parts:
        messages.append(Message(role="assistant", parts=parts))
    return ChatRequest(model="m", messages=tuple(messages))


def parts_of(request: ChatRequest) -> tuple[Part, ...]:
    return request.messages[-1].parts


def kept(**more: Any) -> KeptState:
    store = KeptState(**more)
    store.keep("key", asking(), TURN)
    return store


def test_thoughts_and_state_are_put_back() -> None:
    found = parts_of(kept().restore("key", asking(*CALLS)))
    assert found == (SIGNED, msgspec.structs.replace(CALLS[0], state=STATE), CALLS[1])


def test_calls_without_ids_are_known_by_what_they_call() -> None:
    bare = tuple(msgspec.structs.replace(call, id=None) for call in CALLS)
    assert parts_of(kept().restore("key", asking(*bare)))[0] == SIGNED


def test_a_turn_with_one_of_the_calls_is_another_one() -> None:
    """Another vendor's model may have called the same, and what belongs to both calls is not for one."""
    for call in CALLS:
        bare = msgspec.structs.replace(call, id=None)
        assert parts_of(kept().restore("key", asking(bare))) == (bare,)
        assert parts_of(kept().restore("key", asking(bare, bare))) == (bare, bare)


def test_calls_with_other_arguments_are_known_by_their_ids() -> None:
    cut = tuple(msgspec.structs.replace(call, arguments='{"c": 0}') for call in CALLS)
    assert parts_of(kept().restore("key", asking(*cut)))[0] == SIGNED
    assert parts_of(kept().restore("key", asking(cut[0])))[0] == SIGNED
    other = msgspec.structs.replace(cut[0], name="h")
    assert parts_of(kept().restore("key", asking(other))) == (other,)


def test_the_same_ids_again_are_other_calls() -> None:
    """Some servers number the calls of each answer from zero."""
    store = kept()
    later = seal("plain", "extra", '{"s":2}')
    store.keep("key", asking(), [ToolCallDelta(0, "c1", "f", "{}", state=later), ToolCallDelta(1, "c2", "g")])
    found = parts_of(store.restore("key", asking(*CALLS)))
    assert found == (SIGNED, msgspec.structs.replace(CALLS[0], state=STATE), CALLS[1])


def test_unsigned_thinking_gets_its_state_back() -> None:
    assert parts_of(kept().restore("key", asking(Thinking(text="Hm"), *CALLS)))[0] == SIGNED


def test_what_the_client_kept_stays() -> None:
    own = Thinking(text="Hm", signature="other")
    assert parts_of(kept().restore("key", asking(own, *CALLS)))[0] == own


def test_another_key_or_conversation_gets_nothing() -> None:
    store = kept()
    for owner, request in [("other", asking(*CALLS)), ("key", asking(*CALLS, question="Ho"))]:
        assert store.restore(owner, request) is request
    strange = asking(ToolCall(id="c3", name="f", arguments="not JSON"))
    assert store.restore("key", strange) is strange


def test_a_thought_before_a_call_may_hold_its_state() -> None:
    request = asking(Thinking(text="", signature=STATE), CALLS[0])
    assert parts_of(KeptState().restore("key", request)) == (msgspec.structs.replace(CALLS[0], state=STATE),)


def test_a_turn_without_calls_or_without_thoughts_is_not_kept() -> None:
    store = KeptState()
    store.keep("key", asking(), TURN[:3])
    store.keep("key", asking(), TURN[5:])
    store.keep("key", asking(), [ToolCallDelta(0, "c", "f", "{}", choice=1, state=STATE)])
    assert len(store) == 0


def test_the_oldest_turns_are_forgotten() -> None:
    store = kept(max_bytes=4000)
    for number in range(20):
        store.keep("key", asking(question=f"{number}"), TURN)
        assert store.size <= 4000
    assert len(store) < 20
    assert parts_of(store.restore("key", asking(*CALLS))) == CALLS
    assert parts_of(store.restore("key", asking(*CALLS, question="19")))[0] == SIGNED


def test_the_same_turn_twice_takes_its_room_once() -> None:
    store = kept()
    before = store.size, len(store)
    store.keep("key", asking(), TURN)
    assert (store.size, len(store)) == before
