"""What each feature is about: what the upstream is to be told, and what the client is to hear.

Values of no dialect, which the fronts ask with and the backs are read for; an answer is the mock's own
unless a back has one for the feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from tests.fidelity.backs import Back
from tests.fidelity.values import (
    ANSWER,
    BOUND,
    BROKEN,
    BUDGET,
    CALL_IDS,
    COMPLAINT,
    COUNTS,
    FIRST,
    HELLO,
    HOT,
    LOGPROBS,
    LOOK,
    OSLO,
    PENALTIES,
    PICTURE,
    PIXEL,
    RESULTS,
    ROME,
    SCHEMA,
    SEED,
    SIGNATURE,
    STOP,
    SYSTEM,
    TEMPERATURE,
    THOUGHT,
    TIME,
    TOP_K,
    TOP_P,
    UNKNOWN,
    UNKNOWN_FIELD,
    USER,
    WAIT,
    WEATHER,
    WORLD,
    Heard,
    Turn,
    number,
)
from trunkline_mock import Fault, Script, ToolCall, Usage

Sent = Callable[[Back, dict[str, Any]], Any]
Said = Callable[[Heard], Any]

BOTH: Final = (False, True)
STREAMED: Final = (True,)


def turns(back: Back, body: dict[str, Any]) -> list[Turn]:
    """The conversation that the upstream was told."""
    return number(back.conversation(body))


def _thoughts(back: Back, body: dict[str, Any]) -> Any:
    """Of earlier turns; who knows no signatures is told none."""
    return [turn[1] for turn in turns(back, body) if turn[0] == "thinking"]


def _tools(back: Back, body: dict[str, Any]) -> list[Turn]:
    return back.tools(body)


def _field(name: str) -> Sent:
    return lambda back, body: back.SENT[name](body)


def _unknown(back: Back, body: dict[str, Any]) -> Any:
    return body.get(UNKNOWN_FIELD)


def _texts(heard: Heard) -> Any:
    return heard.texts


def _calls(heard: Heard) -> Any:
    return heard.calls


def _ended(heard: Heard) -> Any:
    return heard.reason


def _failure(heard: Heard) -> Any:
    told = heard.error is not None and COMPLAINT.removeprefix("model ") in heard.error
    status = 502 if heard.status == 500 else heard.status  # as Ollama and Anthropic's clients have it
    return (status, told, heard.retry_after)


class Feature(NamedTuple):
    """One row of the matrix, as its cells are produced."""

    sent: Sent = turns
    asked: Any = [("user", HELLO)]  # noqa: RUF012 - never changed
    """What ``sent`` is to find at the upstream."""
    heard: Said = _texts
    expected: Any = (ANSWER,)
    """What ``heard`` is to find at the client."""
    script: Script = Script(text=ANSWER)
    streams: tuple[bool, ...] = BOTH
    near: Mapping[str, Any] = {}
    """By back, what it finds where the other side can say it only in another way."""


def _hello(*more: Turn) -> list[Turn]:
    return [("user", HELLO), ("call", 0, WEATHER[0], ROME), *more]


_ROME: Final = ToolCall(WEATHER[0], ROME, CALL_IDS[0])
_OSLO: Final = ToolCall(TIME[0], OSLO, CALL_IDS[1])
_CALLED: Final = ((WEATHER[0], ROME),)
_ONE: Final = Script(tool_calls=(_ROME,))
_TWO: Final = Script(tool_calls=(_ROME, _OSLO))
_THINKS: Final = Script(thinking=THOUGHT, text=ANSWER)
_COUNTED: Final = Script(
    text=ANSWER,
    usage=Usage(COUNTS["prompt"], COUNTS["completion"], COUNTS["cached"], COUNTS["reasoning"]),
)


def _error(status: int, seen: int, retry_after: int | None = None) -> Feature:
    wait = None if retry_after is None else str(retry_after)
    fault = Fault("status", status=status, message=COMPLAINT, retry_after=retry_after)
    return Feature(heard=_failure, expected=(seen, True, wait), script=Script(fault=fault))


def _choice(asked: str, **near: Any) -> Feature:
    return Feature(_field("choice"), asked, near=near)


def _knob(name: str, asked: Any, **near: Any) -> Feature:
    return Feature(_field(name), asked, near=near)


def _count(*names: str) -> Feature:
    return Feature(
        heard=lambda heard: tuple(heard.usage.get(name) for name in names),
        expected=tuple(COUNTS[name] for name in names),
        script=_COUNTED,
    )


FEATURES: Final[Mapping[str, Feature]] = {
    "text": Feature(),
    "system": Feature(asked=[("system", SYSTEM), ("user", HELLO)]),
    "multi_turn": Feature(asked=[("user", FIRST[0]), ("assistant", FIRST[1]), ("user", FIRST[2])]),
    "image_data": Feature(asked=[("user", LOOK), ("image", PIXEL)]),
    "image_url": Feature(asked=[("user", LOOK), ("image_url", PICTURE)]),
    "tool": Feature(_tools, [WEATHER], _calls, _CALLED, _ONE),
    "parallel_tools": Feature(_tools, [WEATHER, TIME], _calls, (*_CALLED, (TIME[0], OSLO)), _TWO),
    "tool_ids": Feature(_tools, [WEATHER, TIME], lambda heard: heard.call_ids, CALL_IDS, _TWO),
    "tool_text": Feature(
        _tools,
        [WEATHER],
        lambda heard: (heard.texts, heard.calls),
        ((ANSWER,), _CALLED),
        Script(text=ANSWER, tool_calls=(_ROME,)),
    ),
    "tool_deltas": Feature(
        _tools, [WEATHER], lambda heard: (heard.calls, heard.pieces), (_CALLED, 2), _ONE, STREAMED
    ),
    "tool_results": Feature(
        asked=_hello(("call", 1, TIME[0], OSLO), ("result", 0, RESULTS[0]), ("result", 1, RESULTS[1]))
    ),
    "tool_errors": Feature(
        asked=_hello(("result_error", 0, BROKEN)),
        near=dict.fromkeys(("openai", "responses", "ollama"), _hello(("result", 0, f"Error: {BROKEN}"))),
    ),
    "tool_images": Feature(
        asked=_hello(("result", 0, RESULTS[0]), ("result_image", 0, PIXEL)),
        near={
            "openai": _hello(
                ("result", 0, RESULTS[0]), ("user", f"Returned by the tool {WEATHER[0]}:"), ("image", PIXEL)
            )
        },
    ),
    "tool_choice_auto": _choice("auto"),
    "tool_choice_required": _choice("required", ollama="auto"),
    "tool_choice_named": _choice(WEATHER[0], ollama=("only", WEATHER[0])),
    "tool_choice_none": _choice("none"),
    "parallel_off": _knob("parallel", False),
    "thinking_on": _knob("thinking", "on", openai="medium", responses="medium"),
    "thinking_effort": _knob("thinking", "high"),
    "thinking_budget": _knob(
        "thinking", ("budget", BUDGET), openai="medium", responses="medium", ollama="medium"
    ),
    "thinking_off": _knob("thinking", "off"),
    "thinking_answer": Feature(
        heard=lambda heard: (heard.thinking, heard.texts), expected=(THOUGHT, (ANSWER,)), script=_THINKS
    ),
    "thinking_turns": Feature(_thoughts, [THOUGHT]),
    "thinking_signature": Feature(heard=lambda heard: heard.signature, expected=SIGNATURE, script=_THINKS),
    "json_mode": _knob("format", "json_object", anthropic="told"),
    "json_schema": _knob("format", SCHEMA),
    "max_tokens": _knob("max_tokens", BOUND),
    "stop": _knob("stop", [STOP]),
    "seed": _knob("seed", SEED),
    "temperature": _knob("temperature", TEMPERATURE),
    "temperature_high": _knob("temperature", HOT, anthropic=1.0),
    "top_p": _knob("top_p", TOP_P),
    "top_k": _knob("top_k", TOP_K),
    "penalties": _knob("penalties", PENALTIES),
    "logprobs": Feature(_field("logprobs"), (True, 2), lambda heard: heard.logprobs, LOGPROBS),
    "n": Feature(_field("n"), 2, expected=(ANSWER, ANSWER)),
    "user": _knob("user", USER),
    "usage": _count("prompt", "completion"),
    "usage_cached": _count("cached"),
    "usage_reasoning": _count("reasoning"),
    "finish_stop": Feature(heard=_ended, expected="stop"),
    "finish_stop_sequence": Feature(
        heard=lambda heard: (heard.reason, heard.stop_sequence),
        expected=("stop_sequence", STOP),
        script=Script(text=f"{ANSWER} {STOP} unsaid", obey_limits=True),
    ),
    "finish_length": Feature(
        heard=_ended, expected="length", script=Script(text=ANSWER, finish_reason="length")
    ),
    "finish_tool_calls": Feature(heard=_ended, expected="tool_calls", script=_ONE),
    "finish_content_filter": Feature(
        heard=_ended, expected="content_filter", script=Script(text=ANSWER, finish_reason="content_filter")
    ),
    "error_request": _error(400, 400),
    "error_model": _error(404, 404),
    "error_limit": _error(429, 429, WAIT),
    "error_server": _error(500, 502),
    "error_after": Feature(
        heard=lambda heard: (heard.texts, _failure(heard)),
        expected=(("Good day",), (200, True, None)),
        script=Script(text=("Good", " day", " to"), fault=Fault("error_midstream", 2, message=COMPLAINT)),
        streams=STREAMED,
    ),
    "model": Feature(heard=lambda heard: heard.model, expected="the back's own (see matrix)"),
    "empty": Feature(
        heard=lambda heard: (heard.texts, heard.reason), expected=(("",), "stop"), script=Script(text="")
    ),
    "unicode": Feature(expected=(WORLD,), script=Script(text=WORLD, fault=Fault("split_every_byte"))),
    "unknown": Feature(_unknown, UNKNOWN, lambda heard: heard.unknown, UNKNOWN),
}
"""Every feature, by the names of ``expected.ROWS``."""
