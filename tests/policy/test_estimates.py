"""Estimates of tokens: of prompts, and of answers whose usage was not reported."""

from __future__ import annotations

import base64

import pytest

from trunkline.model import Usage
from trunkline.policy.estimates import (
    AVERAGE_BYTES_PER_TOKEN,
    IMAGE_TOKENS,
    RESERVED_BYTES_PER_TOKEN,
    estimate_prompt_tokens,
    estimate_usage,
)

IMAGE = base64.b64encode(bytes(range(256)) * 64)
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


@pytest.mark.parametrize("count", [1, 3])
def test_an_image_counts_as_one_whatever_its_size(count: int) -> None:
    text = b'{"text":"look"}'
    body = text + b'{"url":"data:image/png;base64,' * count + b'"},"'.join([IMAGE] * count)
    around = len(body) - count * len(IMAGE)
    assert estimate_prompt_tokens(body) == -(-around // 3) + count * IMAGE_TOKENS


def test_short_runs_of_base64_count_as_text() -> None:
    """A key or a small icon is not searched for, and does not cost as much as an image."""
    small = b"A" * 2047
    assert estimate_prompt_tokens(b"A" * 8192) == 2731
    assert estimate_prompt_tokens((small + b" ") * 10) == -(-20480 // 3)


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
