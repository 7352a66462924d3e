"""What goes back of earlier thinking, by each vendor's rules: rendered, and in what passes through."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import NO_DEFAULTS, RequestSummary
from trunkline.dialects.openai import OpenAIBack, Quirks
from trunkline.dialects.openai.thoughts import DetailFold, ThoughtRules
from trunkline.dialects.vendor_state import Maker, seal
from trunkline.model import ChatRequest, Message, Part, Text, Thinking, ToolCall
from trunkline.providers.thought_rules import RULES

CALL = ToolCall(id="c1", name="f", arguments="{}")
HM = Thinking(text="Hm")
OWN = Thinking(text="Hm", signature=seal("me", "field", "reasoning_content"))
OTHERS = Thinking(text="Hm", signature=seal("other", "field", "reasoning_content"))
ASSISTANT: dict[str, Any] = {"role": "assistant", "content": "Ho"}
WIRE_CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
EXTRA = {"google": {"thought_signature": "c2ln"}}
UNKNOWN = ThoughtRules()


def back(rules: ThoughtRules, maker: str = "me") -> OpenAIBack:
    return OpenAIBack(Quirks(thoughts=rules), Maker(maker))


def turn(rules: ThoughtRules, *parts: Part, field: str | None = None) -> dict[str, Any]:
    """The assistant's message as it is rendered."""
    messages = (
        Message(role="user", parts=(Text(text="Hi"),)),
        Message(role="assistant", parts=parts),
    )
    asked = back(rules)
    asked.maker.thinking_field = field
    body = asked.render(ChatRequest(model="m", messages=messages), "m", False, NO_DEFAULTS)
    wire: dict[str, Any] = msgspec.json.decode(body)["messages"][1]
    return {name: wire[name] for name in wire if "reasoning" in name}


CASES: dict[str, tuple[ThoughtRules, tuple[Part, ...], dict[str, Any]]] = {
    "an unknown server's own": (UNKNOWN, (OWN, CALL), {"reasoning_content": "Hm"}),
    "an unknown server's own, without a call": (UNKNOWN, (OWN, Text(text="Ho")), {}),
    "another's, to an unknown server": (UNKNOWN, (OTHERS, CALL), {}),
    "nobody's, to a server that sent none": (UNKNOWN, (HM, CALL), {}),
    "groq": (RULES["groq"], (OWN, CALL), {}),
    "openai": (RULES["openai"], (OWN, CALL), {}),
    "cerebras": (RULES["cerebras"], (OWN, CALL), {"reasoning": "Hm"}),
    "deepseek": (RULES["deepseek"], (OTHERS, CALL), {"reasoning_content": "Hm"}),
    "deepseek, outside of a loop": (RULES["deepseek"], (HM, Text(text="Ho")), {}),
    "kimi, lost": (RULES["moonshot"], (CALL,), {"reasoning_content": ""}),
    "glm, every turn": (RULES["zai"], (HM, Text(text="Ho")), {"reasoning_content": "Hm"}),
}


@pytest.mark.parametrize(("rules", "parts", "fields"), CASES.values(), ids=CASES)
def test_plain_thinking(rules: ThoughtRules, parts: tuple[Part, ...], fields: dict[str, Any]) -> None:
    assert turn(rules, *parts) == fields


def test_thinking_of_which_nobody_says_who_made_it() -> None:
    assert turn(UNKNOWN, HM, CALL, field="reasoning") == {"reasoning": "Hm"}
    assert turn(UNKNOWN, OTHERS, CALL, field="reasoning") == {}


def test_details_go_back_as_they_came() -> None:
    details = [{"type": "reasoning.text", "text": "Hm", "signature": "s", "index": 0}]
    data = json.dumps(details)
    own = Thinking(text="", signature=seal("me", "details", data))
    assert turn(UNKNOWN, own, CALL) == {"reasoning_details": details}
    assert turn(UNKNOWN, Thinking(text="", signature=seal("other", "details", data)), CALL) == {}
    assert turn(UNKNOWN, Thinking(text="", signature=seal("me", "details", "{")), CALL) == {}


def test_pieces_of_details_are_put_together() -> None:
    fold = DetailFold()
    fold.add([{"type": "reasoning.text", "text": "H", "index": 0, "format": None}])
    fold.add([{"type": "reasoning.text", "text": "m", "index": 0}, "strange"])
    fold.add("strange")
    fold.add([{"type": "reasoning.text", "signature": "s", "index": 0, "format": "f"}])
    fold.add([{"type": "reasoning.encrypted", "data": "x", "id": "c1", "index": 0}])
    assert json.loads(fold.take() or "") == [
        {"type": "reasoning.text", "text": "Hm", "index": 0, "format": "f", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "x", "id": "c1", "index": 0},
    ]
    assert fold.take() is None


def test_gemini_gets_a_signature_for_calls_that_others_made() -> None:
    calls = (CALL, ToolCall(id="c2", name="f", arguments="{}"))
    message = Message(role="assistant", parts=calls)
    request = ChatRequest(model="m", messages=(message,))
    wire = msgspec.json.decode(back(RULES["gemini"]).render(request, "m", False, NO_DEFAULTS))
    made = [call.get("extra_content") for call in wire["messages"][0]["tool_calls"]]
    assert made == [{"google": {"thought_signature": "skip_thought_signature_validator"}}, None]


def stand_in(call_id: str, index: int = 0) -> dict[str, Any]:
    """What OpenRouter is sent in place of the signature of a call."""
    named = {"id": call_id, "format": "google-gemini-v1", "index": index}
    return {"type": "reasoning.encrypted", "data": "skip_thought_signature_validator"} | named


TEXT = {"type": "reasoning.text", "text": "Hm", "index": 0}
SIGNED = {"type": "reasoning.encrypted", "data": "x", "id": "c1", "format": "google-gemini-v1", "index": 0}
GEMINI = "google/gemini-3-pro-preview"


@pytest.mark.parametrize(
    ("model", "given", "sent"),
    [
        (GEMINI, [], [stand_in("c1"), stand_in("c2", 1)]),
        (GEMINI, [TEXT], [TEXT, stand_in("c1", 1), stand_in("c2", 2)]),
        (GEMINI, [SIGNED], [SIGNED]),
        (
            GEMINI,
            [SIGNED | {"format": "openai-responses-v1"}],
            [SIGNED | {"format": "openai-responses-v1"}, stand_in("c1", 1), stand_in("c2", 2)],
        ),
        ("anthropic/claude-sonnet-4.5", [], []),
    ],
    ids=["none", "a text", "signed", "signed by another", "another model"],
)
def test_openrouter_gets_signatures_for_gemini_among_the_details(
    model: str, given: list[dict[str, Any]], sent: list[dict[str, Any]]
) -> None:
    state = seal("me", "details", json.dumps(given))
    parts = (Thinking(text="", signature=state), CALL, ToolCall(id="c2", name="f", arguments="{}"))
    request = ChatRequest(model=model, messages=(Message(role="assistant", parts=parts),))
    rules = RULES["openrouter"]
    wire = msgspec.json.decode(back(rules).render(request, model, False, NO_DEFAULTS))["messages"][0]
    assert wire.get("reasoning_details", []) == sent
    calls = {"tool_calls": [WIRE_CALL, WIRE_CALL | {"id": "c2"}]}
    message = ASSISTANT | calls | ({"reasoning_details": given} if given else {})
    through = passed(rules, message, model=model)
    assert msgspec.json.decode(through or msgspec.json.encode(message)).get("reasoning_details", []) == sent


def passed(rules: ThoughtRules, message: dict[str, Any], maker: str = "me", model: str = "m") -> bytes:
    body = msgspec.json.encode({"model": model, "messages": [message], "reasoning_effort": "low"})
    sent = back(rules, maker).patch(body, RequestSummary(model=model, stream=False), model, NO_DEFAULTS)
    return b"" if sent is body else msgspec.json.encode(msgspec.json.decode(sent)["messages"][0])


@pytest.mark.parametrize("vendor", RULES)
def test_a_body_without_state_is_not_decoded(vendor: str) -> None:
    assert passed(RULES[vendor], ASSISTANT) == b""
    assert passed(RULES[vendor], {"role": "user", "content": 'What is "reasoning_content"?'}) == b""


PASSED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "groq": ("groq", {"reasoning_content": "Hm", "reasoning": "Hm"}, {}),
    "mistral": ("mistral", {"reasoning_details": [{"type": "x"}]}, {}),
    "cerebras": ("cerebras", {"reasoning_content": "Hm"}, {"reasoning": "Hm"}),
    "deepseek": ("deepseek", {"reasoning": "Hm"}, {"reasoning_content": "Hm"}),
    "kimi, lost": (
        "moonshot",
        {"tool_calls": [WIRE_CALL]},
        {"tool_calls": [WIRE_CALL], "reasoning_content": ""},
    ),
    "deepseek, null": (
        "deepseek",
        {"tool_calls": [WIRE_CALL], "reasoning_content": None},
        {"tool_calls": [WIRE_CALL], "reasoning_content": ""},
    ),
    "signatures": (
        "openai",
        {"tool_calls": [WIRE_CALL | {"extra_content": EXTRA}]},
        {"tool_calls": [WIRE_CALL]},
    ),
}


@pytest.mark.parametrize(("vendor", "fields", "kept"), PASSED.values(), ids=PASSED)
def test_what_a_vendor_refuses_is_taken_out(
    vendor: str, fields: dict[str, Any], kept: dict[str, Any]
) -> None:
    assert msgspec.json.decode(passed(RULES[vendor], ASSISTANT | fields)) == ASSISTANT | kept


THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
SAID: dict[str, Any] = {"type": "text", "text": "Ho"}


@pytest.mark.parametrize("vendor", RULES)
@pytest.mark.parametrize(
    ("message", "left"),
    [
        ({"content": [THOUGHT, SAID]}, [SAID]),
        ({"content": [THOUGHT]}, ""),
        ({"content": [THOUGHT], "tool_calls": [WIRE_CALL]}, None),
    ],
    ids=["and text", "alone", "and a call"],
)
def test_thinking_among_the_content_goes_to_mistral_alone(
    vendor: str, message: dict[str, Any], left: object
) -> None:
    sent = passed(RULES[vendor], ASSISTANT | message)
    if vendor == "mistral":
        assert sent == b""
    else:
        assert msgspec.json.decode(sent)["content"] == left


def test_what_gemini_signed_stays() -> None:
    assert passed(RULES["gemini"], ASSISTANT | {"tool_calls": [WIRE_CALL | {"extra_content": EXTRA}]}) == b""


def test_details_that_were_written_here_go_to_their_maker_alone() -> None:
    mine = {"type": "reasoning.encrypted", "data": "x", "id": "trunkline:me:details"}
    other = {"type": "reasoning.encrypted", "data": "x", "id": "trunkline:other:redacted"}
    theirs = ASSISTANT | {"reasoning_details": [mine, other, {"type": "reasoning.text", "text": "Hm"}]}
    kept = msgspec.json.decode(passed(UNKNOWN, theirs))
    assert kept["reasoning_details"] == [mine, {"type": "reasoning.text", "text": "Hm"}]
    assert msgspec.json.decode(passed(UNKNOWN, ASSISTANT | {"reasoning_details": [other]})) == ASSISTANT
