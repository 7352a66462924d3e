"""The responses of Anthropic's API: messages whole or as a stream, and the listing of models.

The fields are in the order in which the vendor sends them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from trunkline_mock.generation import ModelOutput, make_id, request_seed, share_tokens
from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.script import MockModel, ToolCall
from trunkline_mock.shapes.anthropic.errors import encode_event, make_request_id
from trunkline_mock.shapes.base import ParsedRequest, VendorError, encode_json

PING: Final = encode_event("ping", {})
"""The event that keeps a stream alive."""

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
"""Anthropic's stop reasons by OpenAI's finish reasons. Any other one is sent unchanged."""
_SIGNATURE_PREFIX: Final = b"mock-thought/"
_EMPTY_TEXT: Final = {"type": "text", "text": ""}

_CREATED: Final = "2025-01-01T00:00:00Z"
_MAX_OUTPUT_TOKENS: Final = 64_000
_LISTED_CAPABILITIES: Final = ("completion", "thinking", "vision")
_DEFAULT_PAGE_SIZE: Final = 20
_LIMIT_HEADERS: Final = (
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2025-01-01T00:00:01Z"),
    ("anthropic-ratelimit-input-tokens-limit", "400000"),
    ("anthropic-ratelimit-input-tokens-remaining", "399000"),
    ("anthropic-ratelimit-input-tokens-reset", "2025-01-01T00:00:01Z"),
    ("anthropic-ratelimit-output-tokens-limit", "80000"),
    ("anthropic-ratelimit-output-tokens-remaining", "79000"),
    ("anthropic-ratelimit-output-tokens-reset", "2025-01-01T00:00:01Z"),
)


def sign_thinking(thinking: str) -> str:
    """The signature of a thinking block, by which the mock recognises its own thinking."""
    digest = hashlib.blake2b(thinking.encode(), digest_size=32).digest()
    return base64.b64encode(_SIGNATURE_PREFIX + digest).decode()


def is_signed(thinking: str, signature: str) -> bool:
    """Whether ``signature`` is that of ``thinking``, or of any thinking if the answer omitted its text."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    return signature == sign_thinking(thinking) or (not thinking and raw.startswith(_SIGNATURE_PREFIX))


def whole_response(output: ModelOutput, *, omit_thinking: bool) -> Response:
    """The response with a message that is not streamed.

    Args:
        output: The model's output.
        omit_thinking: Whether thinking blocks have only a signature, but no text.
    """
    content = message_content(output, omit_thinking=omit_thinking)
    usage = _usage(output, output.completion_tokens, details=True)
    body = encode_json(_message(output, content, _ending(output), usage))
    return Response(
        records=(Record(body, RecordKind.CONTENT, output.completion_tokens),),
        headers=_answer_headers(output),
        prompt_tokens=output.prompt_tokens,
    )


def message_id(output: ModelOutput) -> str:
    """The id of a message."""
    return f"msg_01{make_id(output.seed, -2, 22)}"


def message_content(output: ModelOutput, *, omit_thinking: bool) -> list[dict[str, Any]]:
    """The blocks of a message.

    Args:
        output: The model's output.
        omit_thinking: Whether thinking blocks have only a signature, but no text.
    """
    content: list[dict[str, Any]] = []
    if output.thinking_chunks:
        thinking = "" if omit_thinking else output.thinking
        signature = sign_thinking(output.thinking)
        content.append({"type": "thinking", "thinking": thinking, "signature": signature})
    if output.text:
        content.append({"type": "text", "text": output.text})
    content += [
        _tool_use(output, number, call, _tool_input(call)) for number, call in enumerate(output.tool_calls)
    ]
    return content


def streamed_response(output: ModelOutput, *, omit_thinking: bool, pings: int) -> Response:
    """The response with the events of a streamed message.

    Args:
        output: The model's output.
        omit_thinking: Whether thinking blocks have only a signature, but no text.
        pings: The number of pings after the start of the first block.
    """
    opening = _message(output, [], dict.fromkeys(_ending(output)), _usage(output, 1))
    closing: dict[str, Any] = {"delta": _ending(output)}
    if output.has_usage:
        closing["usage"] = _final_usage(output)
    return Response(
        records=(
            Record(encode_event("message_start", {"message": opening}), RecordKind.START),
            *_block_records(output, omit_thinking=omit_thinking, pings=pings),
            Record(encode_event("message_delta", closing), RecordKind.FINISH),
            Record(encode_event("message_stop", {}), RecordKind.DONE),
        ),
        content_type="text/event-stream; charset=utf-8",
        headers=(("cache-control", "no-cache"), *_answer_headers(output)),
        streamed=True,
        prompt_tokens=output.prompt_tokens,
    )


def _answer_headers(output: ModelOutput) -> tuple[tuple[str, str], ...]:
    return (("request-id", make_request_id(output.seed)), *_LIMIT_HEADERS)


def _block_records(output: ModelOutput, *, omit_thinking: bool, pings: int) -> Iterator[Record]:
    """The events of all blocks. The vendor sends pings after the start of the first one."""
    blocks: list[tuple[dict[str, Any], list[tuple[dict[str, Any], str]]]] = []
    if output.thinking_chunks:
        chunks = () if omit_thinking else output.thinking_chunks
        deltas = [({"type": "thinking_delta", "thinking": chunk}, chunk) for chunk in chunks]
        deltas.append(({"type": "signature_delta", "signature": sign_thinking(output.thinking)}, ""))
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if output.text:
        deltas = [({"type": "text_delta", "text": chunk}, chunk) for chunk in output.text_chunks]
        blocks.append((_EMPTY_TEXT, deltas))
    for number, call in enumerate(output.tool_calls):
        deltas = [
            ({"type": "input_json_delta", "partial_json": piece}, text)
            for piece, text in _argument_pieces(call)
        ]
        blocks.append((_tool_use(output, number, call, {}), deltas))
    texts = [text for _, deltas in blocks for _, text in deltas if text]
    shares = iter(share_tokens(output.completion_tokens, texts))
    for index, (block, deltas) in enumerate(blocks):
        opening = encode_event("content_block_start", {"index": index, "content_block": block})
        yield Record(opening, RecordKind.START)
        if index == 0:
            yield from [Record(PING, RecordKind.START)] * pings
        for delta, text in deltas:
            data = encode_event("content_block_delta", {"index": index, "delta": delta})
            if text:
                yield Record(data, RecordKind.CONTENT, next(shares))
            else:
                yield Record(data, RecordKind.START)
        yield Record(encode_event("content_block_stop", {"index": index}), RecordKind.START)


def _message(
    output: ModelOutput, content: list[dict[str, Any]], ending: dict[str, Any], usage: dict[str, Any]
) -> dict[str, Any]:
    return {
        "model": output.model,
        "id": message_id(output),
        "type": "message",
        "role": "assistant",
        "content": content,
        **ending,
        **usage,
    }


def _ending(output: ModelOutput) -> dict[str, Any]:
    """The fields that say why the message ended."""
    reason = _STOP_REASONS.get(output.finish_reason, output.finish_reason)
    if reason == "end_turn" and output.stop_sequence:
        reason = "stop_sequence"
    refusal = {"type": "refusal", "category": None, "explanation": None}
    return {
        "stop_reason": reason,
        "stop_sequence": output.stop_sequence if reason == "stop_sequence" else None,
        "stop_details": refusal if reason == "refusal" else None,
    }


def _usage(output: ModelOutput, output_tokens: int, *, details: bool = False) -> dict[str, Any]:
    """``usage`` of a message. The vendor does not count tokens that it read from its cache as input."""
    if not output.has_usage:
        return {}
    usage = {
        "input_tokens": max(output.prompt_tokens - output.cached_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": output.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }
    if details:
        usage["output_tokens_details"] = {"thinking_tokens": output.reasoning_tokens}
    return {"usage": usage}


def _final_usage(output: ModelOutput) -> dict[str, Any]:
    """``usage`` at the end of a stream."""
    return {
        "input_tokens": max(output.prompt_tokens - output.cached_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": output.cached_tokens,
        "output_tokens": output.completion_tokens,
        "output_tokens_details": {"thinking_tokens": output.reasoning_tokens},
    }


def _tool_use(output: ModelOutput, number: int, call: ToolCall, tool_input: Any) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": call.id or f"toolu_01{make_id(output.seed, number, 22)}",
        "name": call.name,
        "input": tool_input,
        "caller": {"type": "direct"},
    }


def _tool_input(call: ToolCall) -> Any:
    """The arguments as an object. A string that is no JSON object is sent unchanged."""
    if not isinstance(call.arguments, str):
        return call.arguments
    try:
        return msgspec.json.decode(call.arguments, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return call.arguments


def _argument_pieces(call: ToolCall) -> list[tuple[str, str]]:
    """The pieces of a call's JSON, each with the text for which its tokens are counted.

    The vendor begins with an empty piece, and sends no other one if there are no arguments.
    """
    arguments = call.arguments
    if isinstance(arguments, str):
        text = arguments
    else:
        text = msgspec.json.encode(arguments).decode() if arguments else ""
    if not text:
        return [("", call.name)]
    middle = (len(text) + 1) // 2
    return [("", ""), *((piece, piece) for piece in (text[:middle], text[middle:]) if piece)]


# Models.


def request_id_header(request: ParsedRequest) -> tuple[tuple[str, str], ...]:
    """The header ``request-id`` of a response that is not a message."""
    seed = request_seed(f"{request.path}?{request.query}".encode() + request.body)
    return (("request-id", make_request_id(seed)),)


def models_page(models: Sequence[MockModel], query: dict[str, str]) -> dict[str, Any]:
    """The page of the models' listing that a request asks for.

    Args:
        models: All models.
        query: The parameters ``limit``, ``after_id`` and ``before_id``.

    Raises:
        VendorError: The limit is out of range, or a cursor is no model's id.
    """
    entries = [write_model(model) for model in models]
    page, has_more = _page_entries(entries, query)
    return {
        "data": page,
        "has_more": has_more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _page_entries(entries: list[dict[str, Any]], query: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """The entries of a page, and whether there are more of them in its direction."""
    size = query.get("limit", str(_DEFAULT_PAGE_SIZE))
    if not size.isdecimal() or not 1 <= int(size) <= 1000:
        raise VendorError(400, "limit: Input should be between 1 and 1000")
    limit = int(size)
    ids = [entry["id"] for entry in entries]
    for cursor in ("after_id", "before_id"):
        if cursor in query and query[cursor] not in ids:
            raise VendorError(400, f"{cursor}: Invalid cursor")
    if "before_id" in query:
        before = entries[: ids.index(query["before_id"])]
        return before[-limit:], len(before) > limit
    after = entries[ids.index(query["after_id"]) + 1 :] if "after_id" in query else entries
    return after[:limit], len(after) > limit


def write_model(model: MockModel) -> dict[str, Any]:
    """The entry of a model in the listing."""
    supported = {name: {"supported": name in model.capabilities} for name in _LISTED_CAPABILITIES}
    thinking, always, never = supported["thinking"], {"supported": True}, {"supported": False}
    return {
        "type": "model",
        "id": model.name,
        "display_name": re.sub(r"(\d)-(\d)(?!\d)", r"\1.\2", model.name).replace("-", " ").title(),
        "created_at": _CREATED,
        "lifecycle": "active",
        "max_input_tokens": model.context_length,
        "max_tokens": min(_MAX_OUTPUT_TOKENS, model.context_length),
        "capabilities": {
            **dict.fromkeys(("batch", "citations", "code_execution"), never),
            "context_management": never,
            "effort": {**thinking, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), thinking)},
            "image_input": supported["vision"],
            "pdf_input": supported["vision"],
            "server_tools": {**never, "code_execution": never, "web_search": never},
            "structured_outputs": supported["completion"],
            "thinking": {
                **thinking,
                "types": {
                    "adaptive": thinking,
                    "between_tools": thinking,
                    "disabled": always,
                    "enabled": thinking,
                },
            },
        },
    }
