"""Where an API is looked for that is not at its address."""

import pytest

from trunkline.cli.doctor.paths import likely_bases, what_was_wrong


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("", "/v1"),
        ("/v1/v1", "/v1"),
        ("/openai", "/openai/v1"),
        ("/v1/chat/completions", "/v1"),
        ("/proxy/v1/models", "/proxy/v1"),
        ("/v1", ""),
    ],
)
def test_the_likely_one_is_among_the_others(path: str, first: str) -> None:
    bases = likely_bases(path, is_ollama=False)
    assert first in bases
    assert path not in bases
    assert len(set(bases)) == len(bases) <= 8


def test_ollama_lies_at_the_root() -> None:
    assert likely_bases("/api", is_ollama=True) == [""]
    assert likely_bases("/api/chat", is_ollama=True) == [""]
    assert likely_bases("", is_ollama=True) == []


@pytest.mark.parametrize(
    ("path", "right", "code"),
    [
        ("", "/v1", "v1_missing"),
        ("/x", "/x/v1", "v1_missing"),
        ("/v1/v1", "/v1", "v1_doubled"),
        ("/v1/v1", "", "wrong_path"),
        ("/v1/models", "/v1", "wrong_path"),
        ("/v1", "", "wrong_path"),
    ],
)
def test_what_was_wrong(path: str, right: str, code: str) -> None:
    assert what_was_wrong(path, right) == code
