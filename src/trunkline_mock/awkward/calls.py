"""Awkward tool calls of OpenAI's chat API. Their answers carry one call, or two where the shape says so."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline_mock.awkward.shape import Awkward, Event, Stream, Whole, dicts


def _on_calls(change: Callable[[dict[str, Any], int], Any]) -> tuple[Whole, Stream]:
    """A change of every call, with its place; in a stream, every call comes whole in one delta."""

    def whole(body: dict[str, Any]) -> Any:
        for choice in body["choices"]:
            for at, call in enumerate(choice["message"].get("tool_calls") or ()):
                change(call, at)
        return body

    def stream(events: list[Event]) -> list[Event]:
        events = _joined(events)
        for event in dicts(events):
            for choice in event["choices"]:
                for call in choice["delta"].get("tool_calls") or ():
                    change(call, call["index"])
        return events

    return whole, stream


def _joined(events: list[Event]) -> list[Event]:
    """The events with every call whole in one delta."""
    joined: list[Event] = []
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        found = _delta_calls(event)
        if not found:
            joined.append(event)
            continue
        for delta in found:
            at = delta.get("index", len(calls))
            if at in calls:
                calls[at]["function"]["arguments"] += delta["function"]["arguments"]
                continue
            whole = copy.deepcopy(delta) | {"index": at}
            calls[at] = whole
            assert isinstance(event, dict)
            joined.append(_with_calls(event, whole))
    return joined


def _delta_calls(event: Event) -> list[dict[str, Any]]:
    if isinstance(event, bytes) or not event["choices"]:
        return []
    return event["choices"][0]["delta"].get("tool_calls") or []


def _with_calls(event: dict[str, Any], *calls: dict[str, Any]) -> dict[str, Any]:
    choice = event["choices"][0] | {"delta": {"tool_calls": list(calls)}, "finish_reason": None}
    return event | {"choices": [choice]}


def _split(change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Stream:
    """A stream in which each call, whole, comes as the deltas that ``change`` makes of it."""

    def stream(events: list[Event]) -> list[Event]:
        made: list[Event] = []
        for event in _joined(events):
            calls = _delta_calls(event)
            if not calls or isinstance(event, bytes):
                made.append(event)
                continue
            made += [_with_calls(event, piece) for piece in change(calls[0])]
        return made

    return stream


def _arguments(change: Callable[[Any], Any]) -> tuple[Whole, Stream]:
    def edit(call: dict[str, Any], _: int) -> None:
        call["function"]["arguments"] = change(call["function"]["arguments"])

    return _on_calls(edit)


def _late_name(call: dict[str, Any]) -> list[dict[str, Any]]:
    function = call["function"]
    opening = call | {"function": {"arguments": ""}}
    return [opening, {"index": call["index"], "function": function}]


def _name_in_pieces(call: dict[str, Any]) -> list[dict[str, Any]]:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    return [
        call | {"function": {"name": name[:4], "arguments": ""}},
        {"index": call["index"], "function": {"name": name[4:], "arguments": ""}},
        {"index": call["index"], "function": {"arguments": arguments}},
    ]


def _repeated(call: dict[str, Any]) -> list[dict[str, Any]]:
    arguments = call["function"]["arguments"]
    return [
        call | {"function": call["function"] | {"arguments": piece}}
        for piece in (arguments[:5], arguments[5:])
    ]


def _empty_rest(call: dict[str, Any]) -> list[dict[str, Any]]:
    rest = {"index": call["index"], "id": "", "type": "", "function": {"name": "", "arguments": ""}}
    return [call, rest]


def _null_rest(call: dict[str, Any]) -> list[dict[str, Any]]:
    rest = {"index": call["index"], "id": None, "type": None, "function": {"name": None, "arguments": None}}
    return [call, rest]


def _flat_zero(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"index": 0, "function": call["function"]}]


def _zero(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [call | {"index": 0}]


def _unnumbered(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in call.items() if name != "index"}]


def _from_one(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [call | {"index": call["index"] + 1}]


def _index_text(call: dict[str, Any]) -> list[dict[str, Any]]:
    return [call | {"index": str(call["index"])}]


def _finished(reason: str | None) -> tuple[Whole, Stream]:
    """Another finish reason than ``tool_calls``."""

    def whole(body: dict[str, Any]) -> Any:
        body["choices"][0]["finish_reason"] = reason
        return body

    def stream(events: list[Event]) -> list[Event]:
        for event in dicts(events):
            for choice in event["choices"]:
                if choice["finish_reason"]:
                    choice["finish_reason"] = reason
        return events

    return whole, stream


def _drop(name: str) -> tuple[Whole, Stream]:
    return _on_calls(lambda call, _: call.pop(name, None))


def _set(**fields: Any) -> tuple[Whole, Stream]:
    return _on_calls(lambda call, _: call.update(fields))


def _no_ids(body: dict[str, Any]) -> Any:
    for call in body["choices"][0]["message"]["tool_calls"]:
        del call["id"]
    return body


def _as_object(arguments: Any) -> Any:
    return msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments


def _twice(arguments: Any) -> Any:
    return msgspec.json.encode(arguments).decode()


CALLS: Final = (
    Awkward("call_name_late", "a call's name comes with its second delta", None, _split(_late_name), "calls"),
    Awkward("call_name_pieces", "a call's name comes in pieces", None, _split(_name_in_pieces), "calls"),
    Awkward("call_repeated", "id and name in every delta of a call", None, _split(_repeated), "calls"),
    Awkward("call_empty_rest", "a last delta with an empty id and name", None, _split(_empty_rest), "calls"),
    Awkward("call_null_rest", "a last delta with nulls", None, _split(_null_rest), "calls"),
    Awkward(
        "calls_zero_no_ids", "whole calls, each with index 0 and no id", _no_ids, _split(_flat_zero), "calls"
    ),
    Awkward("calls_zero", "whole calls with ids, each with index 0 (Gemini)", None, _split(_zero), "calls"),
    Awkward("calls_unnumbered", "calls without index", None, _split(_unnumbered), "calls"),
    Awkward("calls_from_one", "indexes begin with 1", None, _split(_from_one), "calls"),
    Awkward("calls_index_text", "indexes are strings", None, _split(_index_text), "calls"),
    Awkward("call_arguments_object", "arguments are an object", *_arguments(_as_object), "calls"),
    Awkward("call_arguments_twice", "arguments are encoded twice", *_arguments(_twice), "calls"),
    Awkward("call_id_missing", "a call without id", *_drop("id"), "calls"),
    Awkward("call_id_empty", "a call's id is empty (Gemini)", *_set(id=""), "calls"),
    Awkward("call_id_number", "a call's id is a number", *_on_calls(lambda c, at: c.update(id=at)), "calls"),
    Awkward("call_type_missing", "a call without type", *_drop("type"), "calls"),
    Awkward("calls_finish_stop", "the finish reason of calls is `stop`", *_finished("stop"), "calls"),
    Awkward("calls_finish_function", "it is `function_call`", *_finished("function_call"), "calls"),
)
"""The shapes."""
