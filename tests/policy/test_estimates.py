"""Tokens of a prompt, as far as one can tell."""

from __future__ import annotations

import base64

import pytest

from trunkline.model import Usage
from trunkline.policy.estimates import PICTURE_TOKENS, RESERVED_BYTES, USUAL_BYTES, prompt_tokens, used

PICTURE = base64.b64encode(bytes(range(256)) * 64)
WORDS = b"words and words; "


@pytest.mark.parametrize(
    ("body", "reserved", "usual"),
    [
        (b"", 0, 0),
        (b"x", 1, 1),
        (b"x" * 12, 4, 3),
        (b"x" * 13, 5, 4),
        (WORDS * 1000, 5667, 4250),
    ],
)
def test_text(body: bytes, reserved: int, usual: int) -> None:
    assert prompt_tokens(body) == prompt_tokens(body, RESERVED_BYTES) == reserved
    assert prompt_tokens(body, USUAL_BYTES) == usual


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_count_as_pictures(count: int) -> None:
    text = b'{"text":"look"}'
    body = text + b'{"url":"data:image/png;base64,' * count + b'"},"'.join([PICTURE] * count)
    around = len(body) - count * len(PICTURE)
    assert prompt_tokens(body) == -(-around // 3) + count * PICTURE_TOKENS


def test_what_is_short_is_text() -> None:
    """A key or a small icon is not worth a look, and not as dear as a picture."""
    small = b"A" * 2047
    assert prompt_tokens(b"A" * 8192) == 2731
    assert prompt_tokens((small + b" ") * 10) == -(-20480 // 3)


@pytest.mark.parametrize("whole", [False, True])
def test_what_nobody_has_told_is_estimated(whole: bool) -> None:
    guess = Usage(prompt_tokens=3, completion_tokens=6)
    assert used(None, b"x" * 12, 6, whole=whole) == (guess, True)
    assert used(None, b"", -1, whole=whole) == (Usage(), True)


@pytest.mark.parametrize(
    ("pieces", "whole", "cost", "completion"),
    [
        (50, False, None, 50),  # told as the answer began
        (50, True, None, 7),
        (7, False, None, 7),  # told at its end
        (50, False, 0.5, 7),  # with a cost, which is known only then
    ],
)
def test_what_was_told_before_the_answer_was_cut(
    pieces: int, whole: bool, cost: float | None, completion: int
) -> None:
    told = Usage(prompt_tokens=25, completion_tokens=7, cost=cost)
    meant = Usage(prompt_tokens=25, completion_tokens=completion, cost=cost)
    assert used(told, b"", pieces, whole=whole) == (meant, completion != 7)
