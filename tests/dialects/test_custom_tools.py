from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.custom_tools import InputReader, as_function, read_input, wrap_input


@pytest.mark.parametrize(
    "form",
    [
        {"type": "grammar", "syntax": "lark", "definition": "start: /x/"},
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}},
    ],
)
def test_a_grammar_is_told(form: dict[str, object]) -> None:
    tool = as_function("patch", "Edits", form)
    assert tool.custom
    assert tool.description == "Edits\n\nThe input must follow this grammar:\nstart: /x/"
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["input"]


@pytest.mark.parametrize("form", [None, {"type": "text"}, {"grammar": 1}, {"definition": None}])
def test_free_text_needs_no_words(form: dict[str, object] | None) -> None:
    assert as_function("patch", None, form).description is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input": "a\\nb"}', "a\nb"),
        ('{"input": "a\nb"}', "a\nb"),
        ('{"patch": "x"}', "x"),
        ('{"input": "x", "why": "y"}', "x"),
        ('{"patch": "x", "why": "y"}', '{"patch": "x", "why": "y"}'),
        ('{"input": 7}', '{"input": 7}'),
        ("{}", ""),
        ('"x"', "x"),
        ("*** Begin", "*** Begin"),
        ('{"input": "cut \\', "cut "),
        ('{"input": "half \\ud83d"}', "half �"),
    ],
)
def test_the_input_of_arguments(arguments: str, text: str) -> None:
    assert read_input(arguments) == text
    reader = InputReader()
    pieces = [reader.feed(character) for character in arguments]
    assert "".join(pieces) + reader.finish() == text


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans(), st.lists(st.integers(1, 9)))
def test_any_input_comes_back_piece_by_piece(text: str, ascii_only: bool, sizes: list[int]) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    assert read_input(wrap_input(text)) == text
    reader = InputReader()
    found, rest = [], arguments
    for size in sizes:
        found.append(reader.feed(rest[:size]))
        rest = rest[size:]
    found += [reader.feed(rest), reader.finish()]
    assert "".join(found) == text
    assert reader.arguments == arguments


def test_arguments_of_another_form_are_read_once_at_the_end() -> None:
    reader = InputReader()
    pieces = ["*** Begin Patch\n", "x" * 100, "y"]
    assert [reader.feed(piece) for piece in pieces] == ["", "", ""]
    assert reader.finish() == "".join(pieces)
