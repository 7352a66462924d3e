"""Awkward answers of Anthropic's Messages API, as other vendors offer it, and of Ollama's chat API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline_mock.awkward.shape import (
    WORDS,
    Awkward,
    Event,
    Stream,
    Whole,
    dicts,
    encode_event,
    on_bodies,
)


def _messages(
    name: str, seen: str, whole: Whole | None, stream: Stream | None, carries: Any = "text"
) -> Awkward:
    return Awkward(name, seen, whole, stream, carries, "messages")


def _ollama(name: str, seen: str, change: tuple[Whole, Stream], carries: Any = "text") -> Awkward:
    return Awkward(name, seen, *change, carries, "ollama")


def _edit(**fields: Any) -> Whole:
    return lambda body: body | fields


def _on(kind: str, change: Callable[[dict[str, Any]], Any]) -> Stream:
    """A change of every event of one type, in place."""

    def stream(events: list[Event]) -> list[Event]:
        for event in dicts(events):
            if event.get("type") == kind:
                change(event)
        return events

    return stream


def _unknown_block(events: list[Event]) -> list[Event]:
    """A block of an unknown type before the others, which count on from it."""
    for event in dicts(events):
        if "index" in event:
            event["index"] += 1
    opening = {"type": "content_block_start", "index": 0, "content_block": {"type": "moo", "x": 1}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "moo_delta", "x": 2}}
    return [events[0], opening, delta, {"type": "content_block_stop", "index": 0}, *events[1:]]


def _unknown_block_whole(body: dict[str, Any]) -> Any:
    body["content"].insert(0, {"type": "moo", "x": 1})
    return body


def _unknown_event(events: list[Event]) -> list[Event]:
    return [events[0], {"type": "moo", "x": 1}, *events[1:]]


def _unnamed(events: list[Event]) -> list[Event]:
    return [encode_event(event).partition(b"\n")[2] if isinstance(event, dict) else event for event in events]


def _arguments_text(body: dict[str, Any]) -> Any:
    for block in body["content"]:
        if block["type"] == "tool_use":
            block["input"] = msgspec.json.encode(block["input"]).decode()
    return body


def _late_error(events: list[Event]) -> list[Event]:
    return [*events[:4], {"type": "error", "error": {"type": "api_error", "message": WORDS}}]


def _set_message(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda event: event["message"].update(fields)


def _done_only(change: Callable[[dict[str, Any]], Any]) -> tuple[Whole, Stream]:
    """A change of the last record, which says that the answer is done."""
    return on_bodies(lambda body: change(body) if body.get("done") else None)


def _without(*names: str) -> Callable[[dict[str, Any]], None]:
    def drop(body: dict[str, Any]) -> None:
        for name in names:
            body.pop(name, None)

    return drop


_COUNTS: Final = ("eval_count", "prompt_eval_count", "total_duration", "load_duration")

OTHERS: Final = (
    _messages("messages_unknown_block", "a block of an unknown type", _unknown_block_whole, _unknown_block),
    _messages("messages_unknown_event", "an event of an unknown type", None, _unknown_event),
    _messages("messages_unnamed", "events without names", None, _unnamed),
    _messages(
        "messages_usage_null",
        "no usage at the start",
        _edit(usage=None),
        _on("message_start", _set_message(usage=None)),
    ),
    _messages(
        "messages_usage_late_missing",
        "no usage at the end",
        None,
        _on("message_delta", lambda event: event.pop("usage", None)),
    ),
    _messages(
        "messages_stop_unknown",
        "an unknown stop reason",
        _edit(stop_reason="compaction"),
        _on("message_delta", lambda event: event["delta"].update(stop_reason="compaction")),
    ),
    _messages(
        "messages_id_number", "`id` is a number", _edit(id=17), _on("message_start", _set_message(id=17))
    ),
    _messages(
        "messages_model_null",
        "`model` is null",
        _edit(model=None),
        _on("message_start", _set_message(model=None)),
    ),
    _messages("messages_input_text", "a call's input is a string", _arguments_text, None, "calls"),
    _ollama("ollama_counts_missing", "no counts", _done_only(_without(*_COUNTS))),
    _ollama("ollama_reason_missing", "no `done_reason`", _done_only(_without("done_reason"))),
    _ollama(
        "ollama_created_odd", "`created_at` is a number", on_bodies(lambda body: body.update(created_at=17))
    ),
    _ollama("ollama_model_missing", "no `model`", on_bodies(_without("model"))),
    _ollama(
        "ollama_counts_fraction",
        "counts are fractions",
        _done_only(lambda body: body.update(eval_count=4.0, prompt_eval_count=3.0)),
    ),
    _ollama(
        "ollama_message_missing_last",
        "the last line has no message",
        (
            lambda body: body,
            lambda events: [*events[:-1], {k: v for k, v in dicts(events)[-1].items() if k != "message"}],
        ),
    ),
    _ollama(
        "ollama_thinking_null",
        "`thinking` and `tool_calls` are null",
        on_bodies(lambda body: body["message"].update(thinking=None, tool_calls=None)),
    ),
    Awkward("messages_error_late", "an error event after text", None, _late_error, "error", "messages"),
)
"""The shapes."""
