"""Awkward shapes: each changes an answer of its API, and still says what it carries."""

from __future__ import annotations

from typing import Any, Final

import pytest

from trunkline_mock import AWKWARD, MockUpstream, Script, ToolCall
from trunkline_mock.awkward.shape import CITED_URL, IMAGE, WORDS

from ..in_process import Answer, answer

_SHAPES: Final = {"chat": "generic", "messages": "anthropic", "ollama": "ollama"}
_PATHS: Final = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "ollama": "/api/chat"}
_CALLS: Final = Script(tool_calls=(ToolCall("get_weather", {"city": "Rome"}),))
_SCRIPTS: Final = {"calls": _CALLS, "thinking": Script(thinking="Let me think.", text="Good day.")}


def ask(api: str, script: Script, stream: bool) -> Answer:
    mock = MockUpstream(_SHAPES[api], script, models=["m"])
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    body |= {"max_tokens": 99} if api == "messages" else {}
    body |= {"stream_options": {"include_usage": True}} if api == "chat" and stream else {}
    return answer(mock, _PATHS[api], body, ((b"anthropic-version", b"2023-06-01"),))


@pytest.mark.parametrize("name", AWKWARD)
def test_a_shape_changes_the_answer_and_keeps_what_it_carries(name: str) -> None:
    shape = AWKWARD[name]
    script = _SCRIPTS.get(shape.carries, Script(text="Good day."))
    changed = 0
    for stream in (False, True):
        plain = ask(shape.api, script, stream)
        odd = ask(shape.api, Script(awkward=name, **_fields(script)), stream)
        changed += (plain.body, plain.content_type, plain.status) != (odd.body, odd.content_type, odd.status)
        text = odd.body.decode("utf-8", "replace")
        wanted = {"error": WORDS, "image": IMAGE, "citation": CITED_URL}.get(shape.carries)
        if wanted is not None and (odd.body != plain.body):
            assert wanted in text
    assert changed


def _fields(script: Script) -> dict[str, Any]:
    return {"text": script.text, "thinking": script.thinking, "tool_calls": script.tool_calls}


@pytest.mark.parametrize("name", AWKWARD)
def test_a_shape_leaves_answers_of_other_apis_alone(name: str) -> None:
    script = Script(text="Good day.")
    for api in _SHAPES.keys() - {AWKWARD[name].api}:
        if AWKWARD[name].reply is None:
            plain = ask(api, script, False)
            odd = ask(api, Script(text="Good day.", awkward=name), False)
            assert len(plain.body) == len(odd.body)


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown awkward shape 'moo'; there are: cost_object"):
        Script(awkward="moo")
