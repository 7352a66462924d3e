from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.ollama.logprobs import Logprob, TopLogprob, from_openai, to_chat, to_completion

SEEN = [
    Logprob("He", -0.1, [72, 101], [TopLogprob("He", -0.1), TopLogprob("Yo", -2.0)]),
    Logprob("llo", -0.2),
]


def test_to_chat() -> None:
    assert to_chat(SEEN) == {
        "content": [
            {
                "token": "He",
                "logprob": -0.1,
                "bytes": [72, 101],
                "top_logprobs": [
                    {"token": "He", "logprob": -0.1, "bytes": None},
                    {"token": "Yo", "logprob": -2.0, "bytes": None},
                ],
            },
            {"token": "llo", "logprob": -0.2, "bytes": None, "top_logprobs": []},
        ],
        "refusal": None,
    }


def test_to_completion() -> None:
    assert to_completion(SEEN, 10) == {
        "tokens": ["He", "llo"],
        "token_logprobs": [-0.1, -0.2],
        "top_logprobs": [{"He": -0.1, "Yo": -2.0}, {}],
        "text_offset": [10, 12],
    }


@pytest.mark.parametrize(
    ("openai", "ollama"),
    [
        (None, []),
        ({"content": None}, []),
        (to_chat(SEEN[1:]), [{"token": "llo", "logprob": -0.2, "bytes": None, "top_logprobs": []}]),
        (
            to_completion(SEEN, 0),
            [
                {
                    "token": "He",
                    "logprob": -0.1,
                    "top_logprobs": [{"token": "He", "logprob": -0.1}, {"token": "Yo", "logprob": -2.0}],
                },
                {"token": "llo", "logprob": -0.2, "top_logprobs": []},
            ],
        ),
        (
            {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": None},
            [{"token": "b", "logprob": -1.0, "top_logprobs": []}],
        ),
    ],
)
def test_from_openai(openai: Any, ollama: list[dict[str, Any]]) -> None:
    assert from_openai(openai) == ollama
