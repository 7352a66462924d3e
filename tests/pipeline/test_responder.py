"""Headers of error answers."""

from __future__ import annotations

import pytest

from trunkline.errors import (
    BUDGET_EXCEEDED,
    INVALID_API_KEY,
    LIMITED,
    REQUEST_OVER_BUDGET,
    UPSTREAM_ERROR,
    UPSTREAM_RATE_LIMIT,
    GatewayError,
    Kind,
)
from trunkline.pipeline.responder import error_lines


@pytest.mark.parametrize(
    ("kind", "retry_after", "lines"),
    [
        (UPSTREAM_RATE_LIMIT, None, b"retry-after: 5\r\n"),
        (UPSTREAM_RATE_LIMIT, 0.2, b"retry-after: 1\r\n"),
        (UPSTREAM_RATE_LIMIT, 41.5, b"retry-after: 42\r\n"),
        (LIMITED, None, b"retry-after: 5\r\n"),
        (REQUEST_OVER_BUDGET, None, b"retry-after: 5\r\n"),
        (BUDGET_EXCEEDED, None, b"retry-after: 86400\r\n"),
        (BUDGET_EXCEEDED, 3600.0, b"retry-after: 3600\r\n"),
        (UPSTREAM_ERROR, None, b""),
        (UPSTREAM_ERROR, 3.0, b"retry-after: 3\r\n"),
        (INVALID_API_KEY, None, b"www-authenticate: Bearer\r\n"),
    ],
)
def test_every_429_says_when_to_ask_again(kind: Kind, retry_after: float | None, lines: bytes) -> None:
    assert error_lines(GatewayError("no", kind, retry_after=retry_after)) == lines
