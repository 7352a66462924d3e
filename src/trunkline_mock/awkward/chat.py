"""Awkward answers of OpenAI's chat API: envelope, usage, text, and content of other kinds."""

from __future__ import annotations

import copy
from typing import Any, Final

from trunkline_mock.awkward.shape import (
    CITED_URL,
    IMAGE,
    Awkward,
    Event,
    Stream,
    Whole,
    dicts,
    encode_event,
    on_bodies,
    on_choices,
    on_usage,
)


def _set(**fields: Any) -> tuple[Whole, Stream]:
    return on_bodies(lambda body: body.update(fields))


def _drop(*names: str) -> tuple[Whole, Stream]:
    def drop(body: dict[str, Any]) -> None:
        for name in names:
            body.pop(name, None)

    return on_bodies(drop)


def _choice(**fields: Any) -> tuple[Whole, Stream]:
    return on_choices(lambda choice, _: choice.update(fields))


def _message(**fields: Any) -> tuple[Whole, Stream]:
    return on_choices(lambda _, message: message.update(fields))


def _last_delta(events: list[Event]) -> dict[str, Any]:
    """The delta of the last event with a choice."""
    delta: dict[str, Any] = [event for event in dicts(events) if event["choices"]][-1]["choices"][0]["delta"]
    return delta


def _added(**fields: Any) -> tuple[Whole, Stream]:
    """Fields in the message, or in the last delta."""

    def whole(body: dict[str, Any]) -> Any:
        body["choices"][0]["message"].update(fields)
        return body

    def stream(events: list[Event]) -> list[Event]:
        _last_delta(events).update(fields)
        return events

    return whole, stream


def _float_tokens(usage: dict[str, Any]) -> dict[str, Any]:
    return {name: float(value) if isinstance(value, int) else value for name, value in usage.items()}


def _text_tokens(usage: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, int) else value for name, value in usage.items()}


def _usage_in_choice() -> tuple[Whole, Stream]:
    def move(body: dict[str, Any]) -> None:
        if body.get("usage") and body["choices"]:
            body["choices"][0]["usage"] = body.pop("usage")

    def stream(events: list[Event]) -> list[Event]:
        usage = next((event.pop("usage") for event in dicts(events)[::-1] if event.get("usage")), None)
        kept: list[Event] = [event for event in events if isinstance(event, bytes) or event["choices"]]
        if usage is not None:
            dicts(kept)[-1]["choices"][0]["usage"] = usage
        return kept

    return on_bodies(move)[0], stream


def _usage_everywhere(events: list[Event]) -> list[Event]:
    """Running usage in every chunk, as vLLM's ``continuous_usage_stats``."""
    for number, event in enumerate(dicts(events)):
        if not event.get("usage"):
            event["usage"] = {"prompt_tokens": 3, "completion_tokens": number, "total_tokens": 3 + number}
    return events


def _usage_before_finish(events: list[Event]) -> list[Event]:
    usage = [event for event in dicts(events) if event.get("usage") and not event["choices"]]
    rest: list[Event] = [event for event in events if event not in usage]
    return [rest[0], *usage, *rest[1:]]


def _parts(text: Any) -> Any:
    return [{"type": "text", "text": text}] if isinstance(text, str) and text else text


def _content_parts(_: dict[str, Any], message: dict[str, Any]) -> None:
    if "content" in message:
        message["content"] = _parts(message["content"])


def _mistral_thinking(_: dict[str, Any], message: dict[str, Any]) -> None:
    for name in ("reasoning_content", "reasoning"):
        thought = message.pop(name, None)
        if thought:
            block = {"type": "thinking", "thinking": [{"type": "text", "text": thought}], "closed": True}
            message["content"] = [block, *(_parts(message.get("content")) or [])]


def _renamed_thinking(name: str) -> tuple[Whole, Stream]:
    def rename(_: dict[str, Any], message: dict[str, Any]) -> None:
        for old in ("reasoning_content", "reasoning"):
            if old in message:
                message[name] = message.pop(old)

    return on_choices(rename)


def _both_names(_: dict[str, Any], message: dict[str, Any]) -> None:
    thought = message.get("reasoning_content") or message.get("reasoning")
    if thought:
        message.update(reasoning=thought, reasoning_content=thought)


def _details_only(_: dict[str, Any], message: dict[str, Any]) -> None:
    thought = message.pop("reasoning_content", None) or message.pop("reasoning", None)
    if thought:
        message["reasoning_details"] = [{"type": "reasoning.text", "text": thought, "index": 0}]


def _surrogates(text: str) -> tuple[Whole, Stream]:
    """A character whose two halves come as two deltas, each written with an escape."""

    def whole(body: dict[str, Any]) -> Any:
        body["choices"][0]["message"]["content"] += text
        return body

    def stream(events: list[Event]) -> list[Event]:
        first = copy.deepcopy(next(event for event in dicts(events) if event["choices"]))
        encoded = text.encode("utf-16-be")
        halves = [f"\\u{encoded[:2].hex()}", f"\\u{encoded[2:].hex()}"]
        first["choices"][0] |= {"delta": {"content": "@@"}, "finish_reason": None}
        at = max(index for index, event in enumerate(events) if _has_text(event)) + 1
        template = encode_event(first)
        pieces: list[Event] = [template.replace(b"@@", half.encode()) for half in halves]
        return [*events[:at], *pieces, *events[at:]]

    return whole, stream


def _has_text(event: Event) -> bool:
    return isinstance(event, dict) and any(choice["delta"].get("content") for choice in event["choices"])


def _azure(events: list[Event]) -> list[Event]:
    first = dicts(events)[0]
    opening = {**first, "choices": [], "prompt_filter_results": [{"prompt_index": 0}], "model": ""}
    late = {**first, "choices": [{"index": 0, "finish_reason": None, "content_filter_results": {}}]}
    return [opening, *events[:-1], late, events[-1]]


def _null_delta(events: list[Event]) -> list[Event]:
    [event for event in dicts(events) if event["choices"]][-1]["choices"][0]["delta"] = None
    return events


def _message_for_delta(events: list[Event]) -> list[Event]:
    for event in dicts(events):
        for choice in event["choices"]:
            choice["message"] = choice.pop("delta")
    return events


def _null_choices(events: list[Event]) -> list[Event]:
    first = dicts(events)[0]
    return [{**first, "choices": None}, *events]


_IMAGE_PART: Final = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}, "index": 0}
_CITATION: Final = {
    "type": "url_citation",
    "url_citation": {"url": CITED_URL, "title": "Cited", "start_index": 0, "end_index": 4},
}
_SOURCES: Final = [{"title": "Cited", "url": CITED_URL, "date": None}]

CHAT: Final = (
    Awkward(
        "cost_object", "`usage.cost` is an object", *on_usage(lambda u: u | {"cost": {"total_cost": 0.2}})
    ),
    Awkward("cost_text", "`usage.cost` is a string", *on_usage(lambda u: u | {"cost": "0.2"})),
    Awkward("id_number", "`id` is a number", *_set(id=17)),
    Awkward("id_null", "`id` is null", *_set(id=None)),
    Awkward("created_text", "`created` is a date", *_set(created="2026-10-21T12:00:00Z")),
    Awkward("created_fraction", "`created` is a fraction", *_set(created=1760000000.25)),
    Awkward(
        "envelope_missing",
        "no `id`, `object`, `created`, `model`",
        *_drop("id", "object", "created", "model"),
    ),
    Awkward("model_null", "`model` is null", *_set(model=None)),
    Awkward("index_null", "a choice's `index` is null", *_choice(index=None)),
    Awkward("index_missing", "a choice without `index`", *on_choices(lambda choice, _: choice.pop("index"))),
    Awkward("logprobs_list", "`logprobs` is an empty list", *_choice(logprobs=[])),
    Awkward("logprobs_odd", "`logprobs` without tokens", *_choice(logprobs={"content": [{"token": None}]})),
    Awkward("tokens_fraction", "`prompt_tokens` is 3.0", *on_usage(_float_tokens)),
    Awkward("tokens_text", "`prompt_tokens` is a string", *on_usage(_text_tokens)),
    Awkward("usage_text", "`usage` is an empty string", *_set(usage="")),
    Awkward("usage_list", "`usage` is an empty list", *_set(usage=[])),
    Awkward("usage_nulls", "all counts are null", *on_usage(lambda usage: dict.fromkeys(usage))),
    Awkward("usage_partial", "only `completion_tokens`", *on_usage(lambda _: {"completion_tokens": 4})),
    Awkward(
        "usage_details_odd",
        "token details are lists",
        *on_usage(lambda u: u | {"prompt_tokens_details": [], "completion_tokens_details": [{}]}),
    ),
    Awkward("usage_in_choice", "usage within the choice (Moonshot)", *_usage_in_choice()),
    Awkward("usage_everywhere", "running usage in every chunk (vLLM)", None, _usage_everywhere),
    Awkward("usage_early", "usage before the text", None, _usage_before_finish),
    Awkward(
        "fingerprint_odd",
        "`system_fingerprint` and `service_tier` are numbers",
        *_set(system_fingerprint=3, service_tier=1),
    ),
    Awkward(
        "choice_nulls",
        "`tool_calls`, `refusal`, `audio`, `function_call` are null",
        *_message(tool_calls=None, refusal=None, audio=None, function_call=None),
    ),
    Awkward("tool_calls_empty", "`tool_calls` is an empty list", *_message(tool_calls=[])),
    Awkward("role_odd", "`role` is empty", *_message(role="")),
    Awkward("role_model", "`role` is `model`", *_message(role="model")),
    Awkward(
        "finish_upper",
        "the finish reason is `STOP`",
        *on_choices(lambda c, _: c.update(finish_reason=c["finish_reason"] and "STOP")),
    ),
    Awkward(
        "finish_eos",
        "the finish reason is `eos`",
        *on_choices(lambda c, _: c.update(finish_reason=c["finish_reason"] and "eos")),
    ),
    Awkward(
        "content_parts", "content is a list of text parts (Mistral, Databricks)", *on_choices(_content_parts)
    ),
    Awkward(
        "content_thinking",
        "thinking is a chunk of the content (Mistral)",
        *on_choices(_mistral_thinking),
        "thinking",
    ),
    Awkward("thinking_both", "both names of the thinking", *on_choices(_both_names), "thinking"),
    Awkward("thinking_reasoning", "thinking in `reasoning`", *_renamed_thinking("reasoning"), "thinking"),
    Awkward(
        "thinking_details",
        "thinking only in `reasoning_details` (OpenRouter)",
        *on_choices(_details_only),
        "thinking",
    ),
    Awkward("surrogates", "a character split over two deltas", *_surrogates("\U0001f600")),
    Awkward("azure_chunks", "a first chunk without choices, a late one without delta (Azure)", None, _azure),
    Awkward("delta_null", "the last delta is null", None, _null_delta),
    Awkward("delta_message", "`message` where `delta` belongs", None, _message_for_delta),
    Awkward("choices_null", "a chunk whose `choices` is null", None, _null_choices),
    Awkward("image", "an image in `message.images` (OpenRouter)", *_added(images=[_IMAGE_PART]), "image"),
    Awkward("citation", "`annotations` with a `url_citation`", *_added(annotations=[_CITATION]), "citation"),
    Awkward("annotations_odd", "`annotations` of an unknown type", *_added(annotations=[{"type": "moo"}, 7])),
    Awkward(
        "sources",
        "`citations` and `search_results` beside the choices (Perplexity)",
        *_set(citations=[CITED_URL], search_results=_SOURCES),
    ),
    Awkward(
        "signature_alone",
        "`extra_content` in a delta of its own (Gemini)",
        *_added(extra_content={"google": {"thought_signature": "abc"}}),
    ),
    Awkward(
        "unknown_everywhere",
        "unknown fields at every level",
        *on_choices(lambda c, m: (c.update(moo=[1]), m.update(moo={"a": None}))[0]),
    ),
)
"""The shapes."""
