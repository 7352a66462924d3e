"""The responses of OpenAI's API: completions whole or as a stream, embeddings, and the entries of models.

Chat completions and text completions have the same envelope and differ within a choice, which a
:class:`ChoiceFormat` writes. The differences between vendors follow from the fields of their rows.
"""

from __future__ import annotations

import base64
import struct
import time
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

import msgspec

from trunkline_mock.generation import (
    ModelOutput,
    count_tokens,
    embedding_vector,
    make_id,
    request_seed,
    share_tokens,
)
from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.script import MockModel, Script, ToolCall
from trunkline_mock.shapes.base import ParsedRequest, encode_json, json_response, sse_event
from trunkline_mock.shapes.openai.vendor import Vendor
from trunkline_mock.shapes.strict.chat import GEMINI_FORMAT, sign_call

_CREATED: Final = 1_735_689_600
"""When the mock's models were created: the start of 2025."""

_LIMIT_HEADERS: Final = {
    "": (),
    "openai": (
        ("openai-processing-ms", "12"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", "1999980"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "0s"),
    ),
    "cerebras": (
        ("x-ratelimit-limit-requests-day", "14400"),
        ("x-ratelimit-limit-tokens-minute", "60000"),
        ("x-ratelimit-remaining-requests-day", "14399"),
        ("x-ratelimit-remaining-tokens-minute", "59980"),
        ("x-ratelimit-reset-requests-day", "33011.4"),
        ("x-ratelimit-reset-tokens-minute", "11.4"),
    ),
}


class ChoiceFormat(Protocol):
    """The content of a choice, of chat completions or of text completions."""

    whole_object: str
    stream_object: str
    id_prefix: str
    """The prefix of the completion's id; if empty, the vendor's."""

    def whole(self, output: ModelOutput) -> dict[str, Any]:
        """The content of a choice that is not streamed."""

    def stream(self, envelope: dict[str, Any], index: int, output: ModelOutput) -> list[Record]:
        """The events of the choice ``index``, except the one with its finish reason."""

    def closing(self) -> dict[str, Any]:
        """The content of the choice with the finish reason."""


class ChatFormat:
    """Choices of chat completions."""

    whole_object = "chat.completion"
    stream_object = "chat.completion.chunk"
    id_prefix = ""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def whole(self, output: ModelOutput) -> dict[str, Any]:
        """The message."""
        message: dict[str, Any] = {"role": "assistant", "content": output.text or None}
        if not output.tool_calls:
            message["content"] = output.text
        if self._vendor.extra_nulls:
            message |= {"refusal": None, "annotations": []}
        if output.thinking_chunks:
            message |= self._thinking_fields(output.thinking)
            if self._vendor.reasoning == "content" and output.text:
                message["content"] = [*message["content"], {"type": "text", "text": output.text}]
        if output.tool_calls:
            message["tool_calls"] = [
                self._tool_call(output, number, call) for number, call in enumerate(output.tool_calls)
            ]
            details = [*message.get("reasoning_details", ()), *self._signatures(output)]
            if details:
                message["reasoning_details"] = details
        return {"message": message}

    def stream(self, envelope: dict[str, Any], index: int, output: ModelOutput) -> list[Record]:
        """The events of role, thinking, text and tool calls."""
        vendor = self._vendor
        deltas: list[tuple[dict[str, Any], str]] = []
        if vendor.reasoning and output.thinking_chunks and vendor.opens_reasoning:
            deltas.append((self._thinking_fields(""), ""))
        if vendor.reasoning:
            deltas += [(self._thinking_fields(chunk), chunk) for chunk in output.thinking_chunks]
        deltas += [({"content": chunk}, chunk) for chunk in output.text_chunks]
        for number, call in enumerate(output.tool_calls):
            call_deltas = self._tool_call_deltas(output, number, call)
            deltas += [({"tool_calls": [delta]}, text) for delta, text in call_deltas]
            if number == 0 and (signatures := self._signatures(output)):
                deltas[-len(call_deltas)][0]["reasoning_details"] = signatures
        shares = share_tokens(output.completion_tokens, [text for _, text in deltas])

        def record(delta: dict[str, Any], kind: RecordKind, tokens: int) -> Record:
            choice = _choice(vendor, index, {"delta": delta}, None)
            return Record(sse_event(envelope | {"choices": [choice]}), kind, tokens)

        if vendor.provider:  # OpenRouter repeats role and content in every delta
            repeated = {"role": "assistant", "content": ""}
            return [
                record(repeated | delta, RecordKind.CONTENT, share)
                for (delta, _), share in zip(deltas, shares, strict=True)
            ]
        first: dict[str, Any] = {"role": "assistant", "content": "" if not output.tool_calls else None}
        if vendor.extra_nulls:
            first["refusal"] = None
        return [
            record(first, RecordKind.START, 0),
            *(
                record(delta, RecordKind.CONTENT, share)
                for (delta, _), share in zip(deltas, shares, strict=True)
            ),
        ]

    def closing(self) -> dict[str, Any]:
        """An empty delta."""
        return {"delta": {"role": "assistant", "content": ""} if self._vendor.provider else {}}

    def _thinking_fields(self, text: str) -> dict[str, Any]:
        if self._vendor.reasoning is None:
            return {}
        if self._vendor.reasoning == "content":
            return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
        fields: dict[str, Any] = {self._vendor.reasoning: text}
        if self._vendor.reasoning_details:
            detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
            fields["reasoning_details"] = [detail]
        return fields

    def _signatures(self, output: ModelOutput) -> list[dict[str, Any]]:
        """The signature of the first call, as OpenRouter gives Gemini's."""
        if not any(fnmatchcase(output.model, each) for each in self._vendor.details_signers):
            return []
        call = output.tool_calls[0]
        named = {"id": call.id or self._call_id(output, 0, call), "format": GEMINI_FORMAT, "index": 0}
        return [{"type": "reasoning.encrypted", "data": sign_call(call.name)} | named]

    def _tool_call(self, output: ModelOutput, number: int, call: ToolCall) -> dict[str, Any]:
        arguments: Any = call.arguments
        if self._vendor.arguments != "object" and not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        fields: dict[str, Any] = {
            "id": call.id or self._call_id(output, number, call),
            "type": "function",
            "function": {"name": call.name, "arguments": arguments},
        }
        if self._vendor.signs_calls and number == 0:
            fields["extra_content"] = {"google": {"thought_signature": sign_call(call.name)}}
        return fields

    def _call_id(self, output: ModelOutput, number: int, call: ToolCall) -> str:
        match self._vendor.call_id:
            case "short":
                return make_id(output.seed, number, 9)
            case "function":
                return f"functions.{call.name}:{number}"
            case _:
                return f"call_{make_id(output.seed, number, 24)}"

    def _tool_call_deltas(
        self, output: ModelOutput, number: int, call: ToolCall
    ) -> list[tuple[dict[str, Any], str]]:
        """The deltas of one tool call, each with the text for which its tokens are counted."""
        vendor = self._vendor
        position: dict[str, Any] = {}
        if vendor.tool_index != "absent":
            position = {"index": 0 if vendor.tool_index == "zero" else number}
        whole = position | self._tool_call(output, number, call)
        arguments = whole["function"]["arguments"]
        if vendor.tool_deltas == "whole" or not isinstance(arguments, str):
            return [(whole, call.name)]
        middle = (len(arguments) + 1) // 2
        opening = whole | {"function": {"name": call.name, "arguments": ""}}
        pieces = [piece for piece in (arguments[:middle], arguments[middle:]) if piece]
        return [
            (opening, call.name),
            *((position | {"function": {"arguments": piece}}, piece) for piece in pieces),
        ]


class TextFormat:
    """Choices of text completions (the older API)."""

    whole_object = "text_completion"
    stream_object = "text_completion"
    id_prefix = "cmpl-"

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        if vendor.provider:
            self.id_prefix = vendor.id_prefix

    def whole(self, output: ModelOutput) -> dict[str, Any]:
        """The text."""
        return {"text": output.text}

    def stream(self, envelope: dict[str, Any], index: int, output: ModelOutput) -> list[Record]:
        """The events of the text."""
        shares = share_tokens(output.completion_tokens, output.text_chunks)
        records = []
        for chunk, share in zip(output.text_chunks, shares, strict=True):
            choice = _choice(self._vendor, index, {"text": chunk}, None)
            records.append(Record(sse_event(envelope | {"choices": [choice]}), RecordKind.CONTENT, share))
        return records

    def closing(self) -> dict[str, Any]:
        """An empty text."""
        return {"text": ""}


def whole_response(
    vendor: Vendor, outputs: list[ModelOutput], model: MockModel, script: Script, choice_format: ChoiceFormat
) -> Response:
    """The response of a completion that is not streamed.

    Args:
        vendor: The row that is played.
        outputs: The output of each choice.
        model: The model, for its prices.
        script: The script, for the cost that it may set.
        choice_format: The format of a choice.
    """
    first = outputs[0]
    body = _envelope(vendor, first, choice_format, choice_format.whole_object)
    body["choices"] = [
        _choice(vendor, index, choice_format.whole(output), output.finish_reason)
        for index, output in enumerate(outputs)
    ]
    if first.has_usage and vendor.usage != "never":
        body |= _usage_fields(vendor, outputs, model, script)
    completion_tokens = sum(output.completion_tokens for output in outputs)
    return Response(
        records=(Record(encode_json(body), RecordKind.CONTENT, completion_tokens),),
        headers=answer_headers(vendor, first),
        prompt_tokens=first.prompt_tokens,
    )


def streamed_response(
    vendor: Vendor,
    outputs: list[ModelOutput],
    model: MockModel,
    data: dict[str, Any],
    script: Script,
    choice_format: ChoiceFormat,
) -> Response:
    """The response of a completion that is streamed.

    Args:
        vendor: The row that is played.
        outputs: The output of each choice.
        model: The model, for its prices.
        data: The request's body, for its ``stream_options``.
        script: The script, for the heartbeats and the cost that it may set.
        choice_format: The format of a choice.
    """
    first = outputs[0]
    envelope = _envelope(vendor, first, choice_format, choice_format.stream_object)
    include_usage = bool((data.get("stream_options") or {}).get("include_usage"))
    with_usage = first.has_usage and (vendor.usage == "always" or (vendor.usage == "asked" and include_usage))
    usage_fields = _usage_fields(vendor, outputs, model, script) if with_usage else {}
    if with_usage and vendor.extra_nulls:
        envelope["usage"] = None
    records = [Record(heartbeat_comment(vendor), RecordKind.START)] * (
        script.comments if vendor.comment else 0
    )
    for index, output in enumerate(outputs):
        records += choice_format.stream(envelope, index, output)
    for index, output in enumerate(outputs):
        reason = output.finish_reason
        if reason == "tool_calls":
            reason = vendor.calls_finish
        choice = _choice(vendor, index, choice_format.closing(), reason)
        closing = envelope | {"choices": [choice]}
        if vendor.usage_place == "last" and index == len(outputs) - 1:
            closing |= usage_fields
            if vendor.x_groq and usage_fields:
                closing["x_groq"] = {"id": f"req_{first.seed}", **usage_fields}
        elif vendor.usage_place == "choice" and index == len(outputs) - 1:
            choice |= usage_fields
        records.append(Record(sse_event(closing), RecordKind.FINISH))
    if usage_fields and vendor.usage_place == "own":
        records.append(Record(sse_event(envelope | {"choices": []} | usage_fields), RecordKind.USAGE))
    records.append(Record(b"data: [DONE]\n\n", RecordKind.DONE))
    return Response(
        records=tuple(records),
        content_type="text/event-stream; charset=utf-8",
        headers=(("cache-control", "no-cache"), *answer_headers(vendor, first)),
        streamed=True,
        prompt_tokens=first.prompt_tokens,
    )


def heartbeat_comment(vendor: Vendor) -> bytes:
    """The comment that keeps a stream of ``vendor`` alive."""
    return f": {vendor.comment or 'keep-alive'}\n\n".encode()


def answer_headers(vendor: Vendor, output: ModelOutput) -> tuple[tuple[str, str], ...]:
    """The headers of an answer: its id and the rate limits, as far as ``vendor`` sends them."""
    limits = _LIMIT_HEADERS[vendor.limit_headers]
    if not vendor.id_header:
        return limits
    prefix = "gen-" if vendor.provider else "req_"
    return ((vendor.id_header, prefix + output.seed), *limits)


def answer_cost(model: MockModel, script: Script, *, prompt_tokens: int, completion_tokens: int) -> float:
    """``usage.cost`` in USD: the script's, or the one that follows from the model's prices."""
    prompt_price = max(float(model.price_prompt), 0.0)
    completion_price = max(float(model.price_completion), 0.0)
    cost = round(prompt_tokens * prompt_price + completion_tokens * completion_price, 12)
    return cost if script.cost is None else script.cost


def _envelope(
    vendor: Vendor, output: ModelOutput, choice_format: ChoiceFormat, object_name: str
) -> dict[str, Any]:
    prefix = choice_format.id_prefix or vendor.id_prefix
    fields = {
        "id": prefix + output.seed,
        "object": object_name,
        "created": int(time.time()),
        "model": output.model,
    }
    if vendor.provider:
        return {**fields, "provider": vendor.provider}
    if vendor.extra_nulls:
        fields["service_tier"] = "default"
    return {**fields, "system_fingerprint": "fp_mock"}


def _choice(vendor: Vendor, index: int, content: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": index, **content, "logprobs": None, "finish_reason": finish_reason}
    if vendor.native_finish_reason:
        choice["native_finish_reason"] = finish_reason
    return choice


def _usage_fields(
    vendor: Vendor, outputs: list[ModelOutput], model: MockModel, script: Script
) -> dict[str, Any]:
    """``usage``, and ``time_info`` if the vendor sends it."""
    prompt_tokens = outputs[0].prompt_tokens
    completion_tokens = sum(output.completion_tokens for output in outputs)
    details: dict[str, Any] = {"reasoning_tokens": sum(output.reasoning_tokens for output in outputs)}
    if vendor.extra_nulls:
        details |= {"audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
    usage: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": outputs[0].cached_tokens},
        "completion_tokens_details": details,
    }
    if vendor.cache_hit_tokens:
        usage["prompt_cache_hit_tokens"] = outputs[0].cached_tokens
        usage["prompt_cache_miss_tokens"] = max(prompt_tokens - outputs[0].cached_tokens, 0)
    if not vendor.counts_reasoning:
        usage["completion_tokens"] = max(completion_tokens - details["reasoning_tokens"], 0)
    if vendor.cost:
        usage["cost"] = answer_cost(
            model, script, prompt_tokens=prompt_tokens, completion_tokens=completion_tokens
        )
        usage |= {"is_byok": False, "cost_details": {"upstream_inference_cost": None}}
    if not vendor.time_info:
        return {"usage": usage}
    times = {"queue_time": 0.0001, "prompt_time": 0.002, "completion_time": 0.01, "total_time": 0.0121}
    return {"usage": usage, "time_info": {**times, "created": int(time.time())}}


def embeddings_response(
    vendor: Vendor, inputs: list[Any], model: MockModel, request: ParsedRequest, script: Script
) -> Response:
    """The response of an embeddings request.

    Args:
        vendor: The row that is played.
        inputs: Texts, or lists of token numbers.
        model: The model.
        request: The request, for its dimensions and its encoding.
        script: The script, for the dimensions and the usage that it may set.
    """
    length = request.data.get("dimensions") or script.dimensions
    as_base64 = request.data.get("encoding_format") == "base64"
    entries = []
    for index, item in enumerate(inputs):
        vector: Any = embedding_vector(item if isinstance(item, str) else str(item), length)
        if as_base64:
            vector = base64.b64encode(struct.pack(f"<{length}f", *vector)).decode()
        entries.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(count_tokens(item) if isinstance(item, str) else len(item) for item in inputs)
    usage = script.usage
    prompt_tokens = tokens if usage is None or usage.prompt is None else usage.prompt
    body: dict[str, Any] = {"object": "list", "data": entries, "model": script.model or model.name}
    if usage is not None and vendor.usage != "never":
        body["usage"] = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    headers = ((vendor.id_header, request_seed(request.body)),) if vendor.id_header else ()
    return msgspec.structs.replace(json_response(body), prompt_tokens=prompt_tokens, headers=headers)


def model_entry(vendor: Vendor, model: MockModel) -> dict[str, Any]:
    """The entry of a model in a listing of ``vendor``."""
    if not vendor.provider:
        return {"id": model.name, "object": "model", "created": _CREATED, "owned_by": vendor.name}
    inputs = ["text", "image"] if "vision" in model.capabilities else ["text"]
    prices = {"prompt": model.price_prompt, "completion": model.price_completion}
    free = ("request", "image", "web_search", "internal_reasoning")
    return {
        "id": model.name,
        "canonical_slug": model.name,
        "name": model.name.replace("/", ": "),
        "created": _CREATED,
        "description": "A model of the mock upstream.",
        "context_length": model.context_length,
        "architecture": {
            "modality": "+".join(inputs) + "->text",
            "input_modalities": inputs,
            "output_modalities": ["embeddings" if "embedding" in model.capabilities else "text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": prices | dict.fromkeys(free, "0"),
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": 4096,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "temperature", "tools", "response_format", "reasoning"],
    }
