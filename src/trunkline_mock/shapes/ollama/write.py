"""The responses of Ollama's native API: answers whole or as a stream, embeddings, and loading a model."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from trunkline_mock.generation import ModelOutput, count_tokens, embedding_vector, make_id, share_tokens
from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.script import Script, ToolCall
from trunkline_mock.shapes.base import encode_json, json_response, ndjson_line
from trunkline_mock.shapes.ollama.store import rfc3339

_DONE_REASONS: Final = {"tool_calls": "stop"}
"""Ollama's ``done_reason`` by OpenAI's finish reason. Any other one is sent unchanged."""
_NS_PER_TOKEN: Final = 10_000_000
_NS_PER_MS: Final = 1_000_000

AnswerFields: TypeAlias = Callable[[str, str, list[dict[str, Any]]], dict[str, Any]]
"""A function from text, thinking and tool calls to the fields that carry them."""


def message_fields(text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields of a chat answer."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def response_fields(text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields of a generate answer."""
    return {"response": text, "thinking": thinking} if thinking else {"response": text}


def answer_response(
    output: ModelOutput,
    answer_fields: AnswerFields,
    last_fields: dict[str, Any],
    *,
    streamed: bool,
    now: datetime.datetime,
) -> Response:
    """The response with the answer to a chat or a generate request.

    Args:
        output: The model's output.
        answer_fields: :func:`message_fields` or :func:`response_fields`.
        last_fields: Fields to add to the last line of a stream, or to the whole body.
        streamed: Whether the response is a stream of lines.
        now: The time of the answer.
    """
    opening = _opening(output.model, now)
    calls = [_tool_call(output, index, call) for index, call in enumerate(output.tool_calls)]
    closing = {
        "done": True,
        "done_reason": _DONE_REASONS.get(output.finish_reason, output.finish_reason),
        **last_fields,
        **_usage(output),
    }
    if not streamed:
        body = {**opening, **answer_fields(output.text, output.thinking, calls), **closing}
        records: tuple[Record, ...] = (
            Record(encode_json(body), RecordKind.CONTENT, output.completion_tokens),
        )
        content_type = "application/json; charset=utf-8"
    else:
        deltas = [(answer_fields("", chunk, []), chunk) for chunk in output.thinking_chunks]
        deltas += [(answer_fields(chunk, "", []), chunk) for chunk in output.text_chunks]
        deltas += [(answer_fields("", "", [call]), call["function"]["name"]) for call in calls]
        shares = share_tokens(output.completion_tokens, [text for _, text in deltas])
        records = (
            *(
                Record(ndjson_line({**opening, **delta, "done": False}), RecordKind.CONTENT, share)
                for (delta, _), share in zip(deltas, shares, strict=True)
            ),
            Record(ndjson_line({**opening, **answer_fields("", "", []), **closing}), RecordKind.FINISH),
        )
        content_type = "application/x-ndjson"
    return Response(
        records=records,
        content_type=content_type,
        streamed=streamed,
        prompt_tokens=output.prompt_tokens,
    )


def load_response(model: str, fields: dict[str, Any], *, unload: bool, now: datetime.datetime) -> Response:
    """The response to a request that only loads or unloads a model.

    Args:
        model: The model's name as the request spells it.
        fields: The fields of an empty answer.
        unload: Whether the model is unloaded.
        now: The time of the answer.
    """
    done_reason = "unload" if unload else "load"
    return json_response({**_opening(model, now), **fields, "done": True, "done_reason": done_reason})


def embed_response(data: dict[str, Any], inputs: list[str], script: Script) -> Response:
    """The response of ``/api/embed``.

    Args:
        data: The request's body.
        inputs: Its texts.
        script: The script, for the dimensions and the usage that it may set.
    """
    length = data.get("dimensions") or script.dimensions
    usage = script.usage
    if usage is None or usage.prompt is None:
        prompt_tokens = sum(count_tokens(text) for text in inputs)
    else:
        prompt_tokens = usage.prompt
    body: dict[str, Any] = {
        "model": data["model"],
        "embeddings": [embedding_vector(text, length) for text in inputs],
        "total_duration": 14 * _NS_PER_MS,
        "load_duration": _NS_PER_MS,
    }
    if prompt_tokens and usage is not None:
        body["prompt_eval_count"] = prompt_tokens
    return msgspec.structs.replace(json_response(body), prompt_tokens=prompt_tokens)


def embeddings_response(data: dict[str, Any], script: Script) -> Response:
    """The response of ``/api/embeddings``, the older API.

    Args:
        data: The request's body.
        script: The script, for the dimensions.
    """
    prompt = data.get("prompt") or ""
    vector = embedding_vector(prompt, script.dimensions) if prompt else []
    return json_response({"embedding": vector})


def _opening(model: str, now: datetime.datetime) -> dict[str, Any]:
    """The fields with which every line begins."""
    return {"model": model, "created_at": rfc3339(now)}


def _tool_call(output: ModelOutput, index: int, call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id or f"call_{make_id(output.seed, index, 8)}",
        "function": {"index": index, "name": call.name, "arguments": call.arguments},
    }


def _usage(output: ModelOutput) -> dict[str, int]:
    """Durations and token counts. Counts that are 0 are left out, and all if the script wants no usage."""
    eval_duration = output.completion_tokens * _NS_PER_TOKEN
    counts = {"prompt_eval_count": output.prompt_tokens, "eval_count": output.completion_tokens}
    return {
        "total_duration": eval_duration + 30 * _NS_PER_MS,
        "load_duration": 20 * _NS_PER_MS,
        "prompt_eval_duration": 10 * _NS_PER_MS,
        "eval_duration": eval_duration,
        **{name: count for name, count in counts.items() if count and output.has_usage},
    }
