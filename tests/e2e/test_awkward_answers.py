"""Answers as servers really send them, and what clients of all four APIs are told of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.awkward import FRONTS, answering, hear, piece, request, sse, whole

every_front = pytest.mark.parametrize("front", FRONTS)
TWO_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
ODD: dict[str, dict[str, Any]] = {
    "a cost in parts": {"usage": USAGE | {"cost": {"total_cost": 0.2}}},
    "a cost in words": {"usage": USAGE | {"cost": "cheap"}},
    "counts as floats": {"usage": {"prompt_tokens": 3.0, "completion_tokens": "2"}},
    "details of another type": {
        "usage": USAGE | {"prompt_tokens_details": [], "completion_tokens_details": 1}
    },
    "a number as id": {"id": 17, "usage": USAGE},
    "a date as time": {"created": "2026-11-27T12:00:00Z", "usage": USAGE},
    "no model": {"model": None, "usage": USAGE},
    "a fingerprint of another type": {"system_fingerprint": {}, "service_tier": 1, "usage": USAGE},
}


@every_front
@TWO_WAYS
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_what_the_answer_does_not_depend_on_cannot_fail_it(
    front: str, stream: bool, odd: dict[str, Any]
) -> None:
    body: Any = whole({"content": "Hi"}, **odd)
    if stream:
        body = sse(piece({"role": "assistant", "content": "Hi"}, **odd), piece({}, "stop", **odd))
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    assert (heard.answer.status, heard.text, heard.error) == (200, "Hi", "")
    if front != "chat":  # there it goes on as it came
        assert heard.usage == (3, 2)


CHOICES: dict[str, dict[str, Any]] = {
    "no index": {"index": None},
    "logprobs as a list": {"logprobs": []},
    "the usage in the choice": {"usage": USAGE},
    "usage in words": {"usage": ""},
    "a stop reason as a number": {"stop_reason": 151645},
}


@every_front
@TWO_WAYS
@pytest.mark.parametrize("odd", CHOICES.values(), ids=CHOICES.keys())
async def test_what_a_choice_does_not_depend_on_cannot_fail_it(
    front: str, stream: bool, odd: dict[str, Any]
) -> None:
    one, two, end = whole({"content": "Hi"}), piece({"content": "Hi"}), piece({}, "stop")
    for each in (one, two, end):
        each["choices"][0] |= odd
    del one["usage"]
    async with answering(sse(two, end) if stream else one) as running:
        heard = await hear(running, front, stream=stream)
    assert (heard.answer.status, heard.text, heard.error) == (200, "Hi", "")
    if front != "chat" and "usage" in odd:
        assert heard.usage == ((3, 2) if odd["usage"] else (0, 0))


async def test_a_usage_that_is_a_string_counts_nothing() -> None:
    async with answering(whole({"content": "Hi"}, usage="")) as running:
        for front in FRONTS:
            heard = await hear(running, front, stream=False)
            assert (heard.answer.status, heard.text) == (200, "Hi")


def call(index: int | None = 0, id: str | None = None, **function: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"function": function}
    if index is not None:
        made["index"] = index
    if id is not None:
        made["id"] = id
    return made


WEATHER: list[tuple[str, Any]] = [("get_weather", {})]
BOTH: list[tuple[str, Any]] = [("f", {"x": 1}), ("g", {"y": 2})]
CALLS: dict[str, tuple[list[list[dict[str, Any]]], list[tuple[str, Any]]]] = {
    "the name behind the id": (
        [[call(id="a", arguments="")], [call(name="get_weather", arguments="{}")]],
        WEATHER,
    ),
    "the name behind the arguments": ([[call(id="a", arguments="{}")], [call(name="get_weather")]], WEATHER),
    "a name in pieces": (
        [[call(id="a", name="get_", arguments="")], [call(name="weather", arguments="{}")]],
        WEATHER,
    ),
    "a name that grows": (
        [[call(id="a", name="get_")], [call(name="get_weather")], [call(arguments="{}")]],
        WEATHER,
    ),
    "the name in each piece": (
        [[call(id="a", name="f", arguments='{"x"')], [call(id="a", name="f", arguments=":1}")]],
        [("f", {"x": 1})],
    ),
    "a new id in each piece": (
        [[call(id="a", name="f", arguments='{"x"')], [call(id="b", arguments=":1}")]],
        [("f", {"x": 1})],
    ),
    "two without ids that share an index": (
        [[call(name="f", arguments='{"x":1}')], [call(name="g", arguments='{"y":2}')]],
        BOTH,
    ),
    "the same in one chunk": (
        [[call(name="f", arguments='{"x":1}'), call(name="g", arguments='{"y":2}')]],
        BOTH,
    ),
    "one tool twice, without ids": (
        [[call(name="f", arguments='{"x":1}')], [call(name="f", arguments='{"x":2}')]],
        [("f", {"x": 1}), ("f", {"x": 2})],
    ),
    "no index": (
        [[call(None, "a", name="f", arguments='{"x":1}')], [call(None, "b", name="g", arguments='{"y":2}')]],
        BOTH,
    ),
    "arguments null": ([[call(id="a", name="f", arguments="null")]], [("f", {})]),
    "no arguments": ([[call(id="a", name="f")]], [("f", {})]),
    "arguments a list": ([[call(id="a", name="f", arguments="[]")]], [("f", {})]),
    "arguments encoded twice": (
        [[call(id="a", name="f", arguments='"{\\"x\\"')], [call(arguments=':1}"')]],
        [("f", {"x": 1})],
    ),
    "arguments an object": ([[call(id="a", name="f", arguments={"x": 1})]], [("f", {"x": 1})]),
}


@every_front
@pytest.mark.parametrize(("chunks", "right"), CALLS.values(), ids=CALLS.keys())
async def test_calls_in_any_pieces(
    front: str, chunks: list[list[dict[str, Any]]], right: list[tuple[str, Any]]
) -> None:
    body = sse(*(piece({"tool_calls": calls}) for calls in chunks), piece({}, "tool_calls"))
    async with answering(body) as running:
        heard = await hear(running, front, stream=True)
    assert (heard.calls, heard.error) == (right, "")


@every_front
@pytest.mark.parametrize("arguments", [None, "null", "[]", [], "", {}, '"{}"', '"\\"{}\\""', [{}]])
async def test_whole_calls_have_an_object(front: str, arguments: Any) -> None:
    made = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    async with answering(whole({"content": None, "tool_calls": made}, "tool_calls")) as running:
        heard = await hear(running, front, stream=False)
    assert heard.calls == [("f", {})]


async def test_a_stream_of_ordinary_calls_passes_as_it_came() -> None:
    body = sse(
        piece({"role": "assistant", "content": None}),
        piece({"tool_calls": [call(id="a", name="get_weather", arguments="")]}),
        piece({"tool_calls": [call(arguments='{"x":')]}),
        piece({"tool_calls": [call(arguments="1}")]}),
        piece({}, "tool_calls", usage=USAGE),
    )
    async with answering(body) as running:
        heard = await hear(running, "chat", stream=True)
    assert heard.answer.body == body.encode()


@every_front
async def test_a_body_where_a_stream_was_asked_for(front: str) -> None:
    body = whole({"content": "Hi", "reasoning_content": "Hm"})
    for text in (json.dumps(body), json.dumps(body, indent=2), ": wait\n\n\n" + json.dumps(body)):
        async with answering(text) as running:
            heard = await hear(running, front, stream=True)
        assert (heard.text, heard.thinking, heard.usage) == ("Hi", "Hm", (3, 2)), text


@every_front
async def test_a_stream_where_a_body_was_asked_for(front: str) -> None:
    body = sse(piece({"content": "H"}), piece({"content": "i"}), piece({}, "stop", usage=USAGE))
    for text in (body, ": wait\n\n" + body):
        async with answering(text) as running:
            heard = await hear(running, front, stream=False)
        assert (heard.text, heard.usage) == ("Hi", (3, 2))


ERRORS: dict[str, Any] = {
    "an envelope": {"error": {"message": "BOOM words"}},
    "a list": [{"error": {"message": "BOOM words", "code": 503}}],
    "detail": {"detail": "BOOM words"},
    "details": {"detail": [{"loc": ["body", "x"], "msg": "BOOM words", "type": "t"}]},
    "Mistral's": {"object": "error", "message": {"detail": [{"msg": "BOOM words"}]}, "type": "t"},
    "errors": {"errors": [{"message": "BOOM words", "code": 5007}], "success": False},
    "errors as texts": {"errors": ["BOOM words"]},
    "errors by field": {"errors": {"model": ["BOOM words"]}},
    "base_resp": {"base_resp": {"status_code": 1008, "status_msg": "BOOM words"}, "choices": None},
    "a text": {"error": "BOOM words"},
    "xAI's": {"code": "some code", "error": "BOOM words"},
    "flat": {"message": "BOOM words", "type": "t", "code": "c"},
    "msg": {"code": 1, "msg": "BOOM words"},
    "JSON in a text": {"error": {"message": '{"error": {"message": "BOOM words"}}'}},
    "plain text": "BOOM words",
    "a page": "<html><head><title>BOOM words</title></head><body>x</body></html>",
}


@every_front
@TWO_WAYS
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS.keys())
async def test_the_words_of_an_error_arrive(front: str, stream: bool, status: int, body: Any) -> None:
    async with answering(body, status) as running:
        heard = await hear(running, front, stream=stream)
    assert "BOOM words" in heard.answer.body.decode()
    assert heard.answer.status >= 400


@every_front
@pytest.mark.parametrize("body", [body for body in ERRORS.values() if not isinstance(body, str)])
async def test_the_words_of_an_error_in_a_stream_arrive(front: str, body: Any) -> None:
    text = sse(piece({"content": "Hi"}), done=False) + f"data: {json.dumps(body)}\n\n"
    async with answering(text) as running:
        heard = await hear(running, front, stream=True)
    assert heard.answer.status == 200
    assert "BOOM words" in heard.error


@pytest.mark.parametrize("front", FRONTS[1:])
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
async def test_a_character_in_two_deltas(front: str, field: str) -> None:
    chunks = [
        piece({field: "a\ud83d"}),
        piece({field: "\ude00b"}),
        piece({"content": "!\ud83d"}),
        piece({}, "stop"),
    ]
    async with answering(sse(*chunks)) as running:
        heard = await hear(running, front, stream=True)
    told = heard.text + heard.thinking
    assert "a😀b" in told
    assert heard.text.endswith("!\ufffd")


PNG = "data:image/png;base64,iVBORw0KGgo="
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}


@every_front
@TWO_WAYS
@pytest.mark.parametrize("text", ["", "Look:"])
async def test_images_are_shown_or_said_to_be_not_shown(front: str, stream: bool, text: str) -> None:
    message = {"content": text, "images": [IMAGE]}
    body = sse(piece(message), piece({}, "stop")) if stream else whole(message)
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    if front == "messages":
        assert heard.text.startswith(text)
        assert "cannot carry: image" in heard.text
        assert stream or heard.answer.headers["x-trunkline-not-shown"] == "image"
    else:
        assert (heard.text, heard.images) == (text, [PNG])


@pytest.mark.parametrize("front", FRONTS[1:])
@TWO_WAYS
async def test_the_address_of_an_image_is_text_elsewhere(front: str, stream: bool) -> None:
    message = {"content": "", "images": [{"image_url": {"url": "https://x.test/a.png"}}]}
    async with answering(sse(piece(message), piece({}, "stop")) if stream else whole(message)) as running:
        heard = await hear(running, front, stream=stream)
    assert heard.text == "![image](https://x.test/a.png)"


@pytest.mark.parametrize("front", FRONTS[1:])
@TWO_WAYS
async def test_thinking_among_the_parts_of_content(front: str, stream: bool) -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
        {"type": "text", "text": "Hi"},
        {"type": "image_url", "image_url": PNG},
        {"type": "reference", "reference_ids": [1]},
    ]
    body = sse(piece({"content": content}), piece({}, "stop")) if stream else whole({"content": content})
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    assert heard.thinking == "Hm"
    assert heard.text == "Hi" or (front == "messages" and "Hi" in heard.text)  # the image is named there
    if not stream:
        assert "reference" in heard.answer.headers["x-trunkline-not-shown"]


SOURCES: dict[str, dict[str, Any]] = {
    "annotations": {
        "annotations": [
            {
                "type": "url_citation",
                "url_citation": {"url": "https://x.test", "title": "X", "start_index": 0, "end_index": 2},
            }
        ]
    },
    "grounding": {
        "grounding_metadata": {
            "groundingChunks": [{"web": {"uri": "https://x.test", "title": "X"}}],
            "groundingSupports": [{"segment": {"endIndex": 2}, "groundingChunkIndices": [0]}],
        }
    },
}


@pytest.mark.parametrize("front", FRONTS[1:])
@TWO_WAYS
@pytest.mark.parametrize("sources", SOURCES.values(), ids=SOURCES.keys())
async def test_sources_are_cited(front: str, stream: bool, sources: dict[str, Any]) -> None:
    body: Any = whole({"content": "Hi"} | sources)
    if stream:
        body = sse(piece({"content": "Hi"}), piece(sources), piece({}, "stop"))
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    assert heard.text == "Hi"
    assert heard.citations == ["https://x.test"]


@pytest.mark.parametrize("front", ["responses", "messages"])
@TWO_WAYS
async def test_a_list_of_addresses_is_cited_once(front: str, stream: bool) -> None:
    more: dict[str, Any] = {"citations": ["https://x.test"]}
    body: Any = whole({"content": "Hi"}, **more)
    if stream:
        body = sse(
            piece({"content": "H"}, **more), piece({"content": "i"}, **more), piece({}, "stop", **more)
        )
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    assert (heard.text, heard.citations) == ("Hi", ["https://x.test"])


@every_front
@TWO_WAYS
async def test_sounds_are_told_by_their_transcript(front: str, stream: bool) -> None:
    audio = {"id": "a", "data": "AAAA", "transcript": "Hi there", "expires_at": 1}
    body = (
        sse(piece({"audio": audio}), piece({}, "stop"))
        if stream
        else whole({"content": None, "audio": audio})
    )
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    if front == "chat":
        assert b'"AAAA"' in heard.answer.body
    else:
        assert heard.text == "Hi there"
        assert stream or heard.answer.headers["x-trunkline-not-shown"] == "audio"


@pytest.mark.parametrize("front", FRONTS[1:])
@TWO_WAYS
async def test_an_answer_of_unknown_content_is_not_empty(front: str, stream: bool) -> None:
    content = [{"type": "hologram", "data": "…"}]
    body = sse(piece({"content": content}), piece({}, "stop")) if stream else whole({"content": content})
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    assert (heard.answer.status, "hologram" in heard.text) == (200, True)


@pytest.mark.parametrize("front", FRONTS[1:])
@TWO_WAYS
async def test_a_refusal_is_told(front: str, stream: bool) -> None:
    body = (
        sse(piece({"refusal": "I won't"}), piece({}, "stop"))
        if stream
        else whole({"content": None, "refusal": "I won't"})
    )
    async with answering(body) as running:
        heard = await hear(running, front, stream=stream)
    assert b"I won't" in heard.answer.body


NATIVE: dict[str, tuple[str, str, Any, str]] = {
    "Anthropic": (
        "anthropic",
        "messages",
        {
            "id": 5,
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [{"type": "text", "text": "Hi"}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": 3.0, "output_tokens": "2", "cache_read_input_tokens": []},
        },
        (
            'event: message_start\ndata: {"type":"message_start","message":{"id":5,"content":[],"usage":'
            '{"input_tokens":3.0}}}\n\n'
            'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
            '{"type":"text","text":""}}\n\n'
            'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
            '{"type":"text_delta","text":"Hi"}}\n\n'
            'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
            'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":'
            '{"input_tokens":3.0,"output_tokens":"2"}}\n\n'
            'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        ),
    ),
    "Ollama": (
        "ollama",
        "ollama",
        {
            "model": "m",
            "created_at": 17,
            "message": {"role": "assistant", "content": "Hi"},
            "done": True,
            "total_duration": "long",
            "prompt_eval_count": 3.0,
            "eval_count": "2",
        },
        (
            '{"model":"m","created_at":17,"message":{"content":"Hi"},"done":false}\n'
            '{"model":"m","message":{"content":""},"done":true,"prompt_eval_count":3.0,"eval_count":"2"}\n'
        ),
    ),
}


@TWO_WAYS
@pytest.mark.parametrize("sent", ["whole", "stream", "indented"])
@pytest.mark.parametrize(("shape", "own", "body", "text"), NATIVE.values(), ids=NATIVE.keys())
async def test_native_answers_are_read_as_generously(
    shape: str, own: str, body: Any, text: str, sent: str, stream: bool
) -> None:
    answer = {"whole": json.dumps(body), "stream": text, "indented": json.dumps(body, indent=2)}[sent]
    async with answering(answer, shape=shape) as running:
        for front in (own, *(each for each in FRONTS if each != own)):
            heard = await hear(running, front, stream=stream)
            assert (heard.answer.status, heard.text, heard.error) == (200, "Hi", ""), front
            if front != own:
                assert heard.usage == (3, 2), front


@TWO_WAYS
@pytest.mark.parametrize("shape", ["anthropic", "ollama"])
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS.keys())
async def test_the_words_of_native_errors_arrive(shape: str, stream: bool, status: int, body: Any) -> None:
    async with answering(body, status, shape) as running:
        for front in FRONTS:
            answer = await running.ask(request(front, stream=stream))
            assert "BOOM words" in answer.body.decode(), front
            assert answer.status >= 400
