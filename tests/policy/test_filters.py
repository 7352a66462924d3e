"""The models filter: rules, files and mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.policy.filters import ModelFilter
from trunkline.settings import SettingsError

CLAUDE = ("claude-3.5-sonnet", "claude-3.5-sonnet:latest", "anthropic/claude-3.5-sonnet")
LLAMA = ("llama3.2", "llama3.2:1b", "llama3.2:1b")


@pytest.mark.parametrize(
    ("rules", "claude", "llama"),
    [
        ("*", True, True),
        ("claude-3.5-sonnet", True, False),
        ("CLAUDE-3.5-Sonnet:LATEST", True, False),
        ("anthropic/*", True, False),
        ("llama?.?", False, True),
        ("llama3x2", False, False),
        ("claude-3", False, False),
        ("*:1b", False, True),
        ("!anthropic/*", False, True),
        ("*\n!llama*", True, False),
        ("!llama*\n*", True, False),
        ("# all\n\n  claude*  # but only these\n\t", True, False),
        ("a|b\n[c]*", False, False),
        ("llama3.2\nanthropic/*", True, True),
        ("! llama*", True, False),
    ],
)
def test_rules(rules: str, claude: bool, llama: bool) -> None:
    found = ModelFilter.parse(rules, "f")
    assert (found.allows(*CLAUDE), found.allows(*LLAMA)) == (claude, llama)


def test_without_rules_every_model_is_allowed() -> None:
    assert ModelFilter().allows(*CLAUDE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("llama*\n\n!", "f:3: '!' is no rule"),
        ("two words", "f:1: 'two words' is no rule"),
        ("!!x", "f:1: '!!x' is no rule"),
        ("# nothing", "f: has no rule"),
        ("", "f: has no rule"),
    ],
)
def test_mistakes_name_the_file_and_the_line(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ModelFilter.parse(text, "f")
    assert str(caught.value).startswith(problem)


def test_a_filter_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "filter.txt"
    with pytest.raises(SettingsError, match=r"MODELS_FILTER: .*filter.txt cannot be read: No such file"):
        ModelFilter.load(path)
    path.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match="it is not UTF-8 text"):
        ModelFilter.load(path)
    path.write_text("two words", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"filter\.txt:1: 'two words' is no rule"):
        ModelFilter.load(path)
    path.write_text("llama*", encoding="utf-8")
    assert ModelFilter.load(path).allows(*LLAMA)


def test_the_example_is_valid() -> None:
    example = ModelFilter.load(Path(__file__).parents[2] / "models-filter.txt.example")
    assert example.allows("custom", "custom", "custom")
    assert example.allows(*CLAUDE)
    assert not example.allows("llama3.2-vision", "llama3.2-vision:11b", "llama3.2-vision:11b")
