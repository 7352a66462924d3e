"""Answers with the client's names, however their bytes come."""

from __future__ import annotations

import msgspec
import pytest

from tests.feeding import ways
from trunkline.dialects.anthropic.fit import MessagesFitStep
from trunkline.dialects.fit.answer import RestoringInspector
from trunkline.dialects.fit.rules import FitRules
from trunkline.dialects.openai.fit import ChatFitStep
from trunkline.dialects.openai.inspect import StreamInspector, WholeInspector
from trunkline.dialects.responses.fit import ResponsesFitStep

NAMES = {"fs_read": "fs.read"}
STEP = ChatFitStep(FitRules())

CALL = '{"index":0,"id":"c","function":{"name":"%s","arguments":""}}'
CHUNKS = (
    'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"content":"\\"fs_read\\" it is"}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"tool_calls":[' + CALL + "]}}]}\n\n"
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    "data: [DONE]\n\n"
)
WHOLE = '{"choices":[{"index":0,"message":{"content":null,"tool_calls":[' + CALL + "]}}]}"


@pytest.mark.parametrize("pieces", list(ways((CHUNKS % "fs_read").encode()))[::5])
def test_a_stream_has_the_clients_names(pieces: list[bytes]) -> None:
    inner = StreamInspector("up", False)
    inner.request = msgspec.json.encode(list(NAMES))
    inspector = RestoringInspector(inner, NAMES, STEP.restore, streamed=True)
    out = b"".join(inspector.feed(piece) for piece in pieces) + inspector.close()
    assert inspector.complete
    assert out.decode() == CHUNKS % "fs.read"


def test_a_whole_answer_has_the_clients_names() -> None:
    inspector = RestoringInspector(WholeInspector("up"), NAMES, STEP.restore, streamed=False)
    assert inspector.feed((WHOLE % "fs_read").encode()) == b""
    assert inspector.close().decode() == WHOLE % "fs.read"


@pytest.mark.parametrize(
    ("step", "record", "restored"),
    [
        (MessagesFitStep, {"content_block": {"type": "tool_use", "name": "fs_read"}}, True),
        (MessagesFitStep, {"content": [{"type": "tool_use", "name": "fs_read"}]}, True),
        (MessagesFitStep, {"content": [{"type": "text", "name": "fs_read"}]}, False),
        (ResponsesFitStep, {"item": {"type": "function_call", "name": "fs_read"}}, True),
        (ResponsesFitStep, {"response": {"tools": [{"type": "function", "name": "fs_read"}]}}, True),
        (ResponsesFitStep, {"response": {"metadata": {"name": "fs_read"}}}, False),
        (ChatFitStep, {"choices": [{"message": {"function_call": {"name": "fs_read"}}}]}, True),
        (ChatFitStep, {"choices": [{"message": {"content": "fs_read"}}]}, False),
        (ChatFitStep, ["fs_read"], False),
    ],
)
def test_where_the_names_are(step: type[ChatFitStep], record: object, restored: bool) -> None:
    before = msgspec.json.encode(record)
    assert step(FitRules()).restore(record, NAMES) is restored
    expected = before.replace(b"fs_read", b"fs.read") if restored else before
    assert msgspec.json.encode(record) == expected
