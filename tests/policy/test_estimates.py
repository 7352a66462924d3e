"""Estimates of tokens: of prompts, and of answers whose usage was not reported."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.model import Usage
from trunkline.policy.estimates import (
    AVERAGE_BYTES_PER_TOKEN,
    RESERVED_BYTES_PER_TOKEN,
    estimate_prompt_tokens,
    estimate_usage,
)
from trunkline.policy.media import MOST_IMAGE_TOKENS

WORDS = b"words and words; "


@pytest.mark.parametrize(
    ("body", "reserved", "average"),
    [
        (b"", 0, 0),
        (b"x", 1, 1),
        (b"x" * 12, 4, 3),
        (b"x" * 13, 5, 4),
        (WORDS * 1000, 5667, 4250),
    ],
)
def test_text_is_estimated_by_its_size(body: bytes, reserved: int, average: int) -> None:
    assert estimate_prompt_tokens(body) == estimate_prompt_tokens(body, RESERVED_BYTES_PER_TOKEN) == reserved
    assert estimate_prompt_tokens(body, AVERAGE_BYTES_PER_TOKEN) == average


@pytest.mark.parametrize("text", ["A" * 50_000, "Ab3d" * 25_000, "data:image/png;base64," + "A" * 9000])
def test_a_text_is_a_text_whatever_it_looks_like(text: str) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": text}]}
    body = msgspec.json.encode({"model": "m", "messages": [message]})
    assert estimate_prompt_tokens(body) == -(-len(body) // 3)


def test_media_are_not_counted_as_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    body = msgspec.json.encode({"messages": [{"role": "user", "content": [image]}]})
    assert MOST_IMAGE_TOKENS < estimate_prompt_tokens(body) < MOST_IMAGE_TOKENS + 100
    small = msgspec.json.encode(
        {"messages": [{"role": "user", "content": [image | {"image_url": "http://x"}]}]}
    )
    assert estimate_prompt_tokens(small) > MOST_IMAGE_TOKENS


@pytest.mark.parametrize("whole", [False, True])
def test_usage_that_was_not_reported_is_estimated(whole: bool) -> None:
    guess = Usage(prompt_tokens=3, completion_tokens=6)
    assert estimate_usage(None, b"x" * 12, 6, whole=whole) == (guess, True)
    assert estimate_usage(None, b"", -1, whole=whole) == (Usage(), True)


@pytest.mark.parametrize(
    ("pieces", "whole", "cost", "completion"),
    [
        (50, False, None, 50),  # reported as the answer began
        (50, True, None, 7),
        (7, False, None, 7),  # reported at its end
        (50, False, 0.5, 7),  # with a cost, which is known only at its end
    ],
)
def test_usage_that_was_reported_before_the_answer_was_cut(
    pieces: int, whole: bool, cost: float | None, completion: int
) -> None:
    reported = Usage(prompt_tokens=25, completion_tokens=7, cost=cost)
    expected = Usage(prompt_tokens=25, completion_tokens=completion, cost=cost)
    assert estimate_usage(reported, b"", pieces, whole=whole) == (expected, completion != 7)
