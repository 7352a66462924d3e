from __future__ import annotations

import pytest

from trunkline.dialects.web_search import forces_search, refuse_web_search
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import ChatRequest, ToolChoice, WebSearch

SEARCH = WebSearch(field="tools[0].type", kind="web_search_preview")


def test_a_search_that_is_needed_is_refused_by_name() -> None:
    with pytest.raises(CallerError, match=r"Ollama.*'web_search_preview'") as caught:
        refuse_web_search(SEARCH, "Ollama")
    assert (caught.value.kind, caught.value.param) == (UNSUPPORTED, "tools[0].type")


def test_a_search_that_is_not_needed_is_left_out() -> None:
    refuse_web_search(None, "Ollama")
    refuse_web_search(WebSearch(field="f", kind="k", optional=True), "Ollama")


@pytest.mark.parametrize(
    ("choice", "forced"),
    [
        (None, False),
        (ToolChoice(mode="required"), False),
        (ToolChoice(mode="tool", name="f"), False),
        (ToolChoice(mode="tool", name="web_search"), True),
    ],
)
def test_a_choice_that_names_the_search(choice: ToolChoice | None, forced: bool) -> None:
    assert forces_search(ChatRequest(model="m", messages=(), tool_choice=choice, web_search=SEARCH)) is forced
    assert not forces_search(ChatRequest(model="m", messages=(), tool_choice=choice))
