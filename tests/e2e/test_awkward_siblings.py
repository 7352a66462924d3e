"""More answers as servers were seen to send them: kin of those in ``test_awkward_answers``, found later.

Each row is asked by clients of all four APIs. A chat client gets what passes through as it came, unless its
library could not read it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.awkward import FRONTS, answering, hear, piece, sse, whole

TWO_WAYS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
HI = sse(piece({"content": "Hi"}), piece({}, "stop"))


def both(message: dict[str, Any], **more: Any) -> tuple[Any, str]:
    """A whole answer and a stream with one message."""
    return whole(message, **more), sse(piece(message, **more), piece({}, "stop"))


STREAMS = {
    "lines that end once": HI.replace("\n\n", "\n"),
    "two records in one event": HI.replace("\n\n", "\n", 1),
    "no events but lines": "".join(
        json.dumps(each) + "\n" for each in (piece({"content": "Hi"}), piece({}, "stop"))
    ),
    "data twice": HI.replace("data: ", "data: data: "),
    "a heartbeat as data": "data: ping\n\n" + HI,
    "a heartbeat of nothing": "data: null\n\n" + HI,
    "another end": HI.replace("[DONE]", "[done]"),
    "a quoted end": HI.replace("[DONE]", '"[DONE]"'),
    "the first choice is number 1": HI.replace('"index": 0', '"index": 1'),
}


@pytest.mark.parametrize("body", STREAMS.values(), ids=STREAMS.keys())
async def test_streams_in_any_frames(body: str) -> None:
    async with answering(body) as running:
        for front in FRONTS:
            heard = await hear(running, front, stream=True)
            assert (heard.answer.status, heard.text, heard.error) == (200, "Hi", ""), front


@TWO_WAYS
async def test_a_bare_tab_in_a_text(stream: bool) -> None:
    body = both({"content": "HXi"})[stream]
    text = body if isinstance(body, str) else json.dumps(body)
    async with answering(text.replace("HXi", "H\ti")) as running:
        for front in FRONTS[1:]:
            assert (await hear(running, front, stream=stream)).text == "H\ti", front


THOUGHTS: dict[str, dict[str, Any]] = {
    "in an object": {"content": "Hi", "reasoning": {"content": "Hm"}},
    "in a list": {"content": "Hi", "reasoning": [{"type": "text", "text": "Hm"}]},
    "under Ollama's name": {"content": "Hi", "thinking": "Hm"},
    "under Copilot's name": {"content": "Hi", "reasoning_text": "Hm"},
    "as a part": {"content": [{"type": "reasoning_content", "reasoning_content": "Hm"}, {"text": "Hi"}]},
    "as Gemini's part": {"content": [{"text": "Hm", "thought": True}, {"text": "Hi"}]},
}


@TWO_WAYS
@pytest.mark.parametrize("message", THOUGHTS.values(), ids=THOUGHTS.keys())
async def test_thinking_wherever_it_stands(stream: bool, message: dict[str, Any]) -> None:
    async with answering(both(message)[stream]) as running:
        for front in FRONTS[1:]:
            heard = await hear(running, front, stream=stream)
            assert (heard.text, heard.thinking, heard.error) == ("Hi", "Hm", ""), front


EMPTY: dict[str, dict[str, Any]] = {
    "objects and lists": {"content": "Hi", "annotations": {}, "reasoning": {}, "reasoning_content": []},
    "a list of strings": {"content": ["H", "i"]},
}


@TWO_WAYS
@pytest.mark.parametrize("message", EMPTY.values(), ids=EMPTY.keys())
async def test_fields_of_another_type(stream: bool, message: dict[str, Any]) -> None:
    async with answering(both(message)[stream]) as running:
        for front in FRONTS:
            heard = await hear(running, front, stream=stream)
            assert (heard.answer.status, heard.error) == (200, ""), front
            assert front == "chat" or heard.text == "Hi", front


SOURCE = {"url": "https://x.test", "title": "X"}
SOURCES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "search results": ({"content": "Hi"}, {"search_results": [SOURCE], "citations": [SOURCE["url"]]}),
    "Z.ai's": ({"content": "Hi"}, {"web_search": [{"title": "X", "link": SOURCE["url"]}]}),
    "Azure's": ({"content": "Hi", "context": {"citations": [SOURCE]}}, {}),
    "in the message": ({"content": "Hi", "citations": [SOURCE["url"]]}, {}),
    "Mistral's": ({"content": [{"type": "tool_reference"} | SOURCE, {"type": "text", "text": "Hi"}]}, {}),
}


@TWO_WAYS
@pytest.mark.parametrize(("message", "more"), SOURCES.values(), ids=SOURCES.keys())
async def test_sources_wherever_they_stand(
    stream: bool, message: dict[str, Any], more: dict[str, Any]
) -> None:
    async with answering(both(message, **more)[stream]) as running:
        for front in FRONTS[1:]:
            heard = await hear(running, front, stream=stream)
            assert (heard.text, heard.citations) == ("Hi", ["https://x.test"]), front


COUNTS: dict[str, list[dict[str, Any]]] = {
    "under newer names": [{"input_tokens": 3, "output_tokens": 2}],
    "zeros at the end": [USAGE, {"prompt_tokens": 0, "completion_tokens": 0}],
}


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
async def test_counts(counts: list[dict[str, Any]]) -> None:
    chunks = [piece({"content": "Hi"}), *(piece({}, "stop", usage=each) for each in counts)]
    async with answering(sse(*chunks)) as running:
        for front in FRONTS[1:]:
            assert (await hear(running, front, stream=True)).usage == (3, 2), front


def call(index: int | None, id: str | None = None, **function: Any) -> dict[str, Any]:
    return {"index": index, "id": id, "function": function}


ONE = [("f", {"x": 1})]
TWO = [*ONE, ("g", {"y": 2})]
CALLS: dict[str, tuple[list[list[dict[str, Any]]], list[tuple[str, Any]]]] = {
    "the second begins as number 0 and goes on as 1": (
        [
            [call(0, "a", name="f", arguments='{"x":1}')],
            [call(0, "b", name="g", arguments="")],
            [call(1, arguments='{"y":2}')],
        ],
        TWO,
    ),
    "each piece has its own number": (
        [[call(0, "a", name="f", arguments='{"x"')], [call(1, arguments=":1}")]],
        ONE,
    ),
    "both have the same id": (
        [
            [call(0, "a", name="f", arguments='{"x":1}')],
            [call(1, "a", name="g", arguments='{"y"')],
            [call(1, "a", arguments=":2}")],
        ],
        TWO,
    ),
    "the whole call again at the end": (
        [
            [call(0, "a", name="f", arguments='{"x"')],
            [call(0, arguments=":1}")],
            [call(0, "a", name="f", arguments='{"x":1}')],
        ],
        ONE,
    ),
    "an empty object alone": ([[call(0, "a", name="f", arguments="{}")]], [("f", {})]),
    "empty strings in later pieces": (
        [[call(0, "a", name="f", arguments='{"x"')], [call(0, "", name="", arguments=":1}")]],
        ONE,
    ),
    "blanks around the name": ([[call(0, "a", name=" f ", arguments='{"x":1}')]], ONE),
    "no function": ([[{"index": 0, "id": "a", "name": "f", "arguments": '{"x":1}'}]], ONE),
}


@pytest.mark.parametrize(("chunks", "right"), CALLS.values(), ids=CALLS.keys())
async def test_calls(chunks: list[list[dict[str, Any]]], right: list[tuple[str, Any]]) -> None:
    body = sse(*(piece({"tool_calls": calls}) for calls in chunks), piece({}, "tool_calls"))
    async with answering(body) as running:
        for front in FRONTS:
            heard = await hear(running, front, stream=True)
            assert (heard.calls, heard.error) == (right, ""), front


async def test_an_empty_object_that_is_filled_later() -> None:
    """What passes through is not held for it."""
    chunks = [[call(0, "a", name="f", arguments="{}")], [call(0, arguments='{"x":1}')]]
    body = sse(*(piece({"tool_calls": calls}) for calls in chunks), piece({}, "tool_calls"))
    async with answering(body) as running:
        for front in FRONTS[1:]:
            assert (await hear(running, front, stream=True)).calls == ONE, front


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ('```json\n{"x":1}\n```', {"x": 1}),
        ('"{\\"x\\":1}}"', {"x": 1}),
    ],
)
async def test_whole_calls(arguments: str, right: dict[str, Any]) -> None:
    made = [{"id": "", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    async with answering(whole({"content": None, "tool_calls": made}, "tool_calls")) as running:
        for front in FRONTS:
            heard = await hear(running, front, stream=False)
            assert heard.calls == [("f", right)], front
            if front == "chat":
                assert heard.answer.json["choices"][0]["message"]["tool_calls"][0]["id"]


ERRORS: dict[str, Any] = {
    "a failure": {"status": "error", "reason": "BOOM words"},
    "no success": {"success": False, "data": {"message": "BOOM words"}},
    "a fault": {"fault": {"faultstring": "BOOM words"}},
    "AWS's": {"Message": "BOOM words"},
    "Google's details": {"error": {"code": 5, "status": "X", "details": [{"description": "BOOM words"}]}},
    "a JSON string": '"BOOM words"',
    "a list of texts": ["BOOM words"],
    "an event of text": "event: error\ndata: BOOM words\n\n",
}


@TWO_WAYS
@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS.keys())
async def test_the_words_of_an_error(stream: bool, body: Any) -> None:
    async with answering(body) as running:
        for front in FRONTS[0 if stream else 1 :]:
            heard = await hear(running, front, stream=stream)
            assert heard.answer.status >= 400, front
            assert "BOOM words" in heard.error, front


@pytest.mark.parametrize("body", ERRORS.values(), ids=ERRORS.keys())
async def test_the_words_of_an_error_in_a_stream(body: Any) -> None:
    last = body if isinstance(body, str) and body.startswith("event") else f"data: {json.dumps(body)}\n\n"
    async with answering(sse(piece({"content": "Hi"}), done=False) + last) as running:
        for front in FRONTS:
            assert "BOOM words" in (await hear(running, front, stream=True)).answer.body.decode(), front


async def test_what_stands_in_place_of_content_is_named() -> None:
    async with answering(whole({"content": "", "hologram": {"data": "AAAA"}})) as running:
        for front in FRONTS[1:]:
            heard = await hear(running, front, stream=False)
            assert heard.answer.headers["x-trunkline-not-shown"] == "hologram", front
            assert "hologram" in heard.text, front


async def test_a_block_without_a_type_is_text() -> None:
    body: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": "m"}
    body |= {"stop_reason": "end_turn"}
    body |= {"content": [{"text": "Hi"}], "usage": {"input_tokens": 3, "output_tokens": 2}}
    async with answering(body, shape="anthropic") as running:
        for front in ("chat", "responses", "ollama"):
            heard = await hear(running, front, stream=False)
            assert (heard.text, heard.usage) == ("Hi", (3, 2)), front


async def test_what_the_model_said_is_no_error_text() -> None:
    """A body that is no answer of the dialect may hold one all the same; an error's text is logged."""
    async with answering({"message": {"role": "assistant", "content": "secret words"}}) as running:
        for front in FRONTS[1:]:
            heard = await hear(running, front, stream=False)
            assert heard.answer.status == 502, front
            assert b"secret words" not in heard.answer.body, front
