from __future__ import annotations

import pytest

from trunkline import errors
from trunkline.dialects.base import Headers
from trunkline.dialects.status import error_for_status, retry_after
from trunkline.errors import CallerError, Kind, ProviderError


@pytest.mark.parametrize(
    ("status", "kind", "client_status"),
    [
        (400, errors.INVALID_REQUEST, 400),
        (401, errors.UPSTREAM_AUTH, 502),
        (402, errors.UPSTREAM_CREDIT, 502),
        (403, errors.UPSTREAM_AUTH, 502),
        (404, errors.MODEL_NOT_FOUND, 404),
        (408, errors.UPSTREAM_ERROR, 502),
        (409, errors.UPSTREAM_ERROR, 502),
        (413, errors.TOO_LARGE, 413),
        (422, errors.UNPROCESSABLE, 422),
        (429, errors.UPSTREAM_RATE_LIMIT, 429),
        (500, errors.UPSTREAM_ERROR, 502),
        (503, errors.UPSTREAM_ERROR, 502),
        (529, errors.UPSTREAM_ERROR, 502),
    ],
)
def test_each_status_has_its_kind(status: int, kind: Kind, client_status: int) -> None:
    error = error_for_status(status, " it broke ", upstream_name="Acme")
    assert (error.kind, error.status, error.code) == (kind, client_status, kind.code)
    if status in (400, 413, 422):
        assert isinstance(error, CallerError)
        assert error.message == "it broke"
    else:
        assert isinstance(error, ProviderError)
        assert error.message == f"Acme answered {status}: it broke"


def test_an_error_without_text_still_has_a_message() -> None:
    assert error_for_status(500, "").message == "The upstream answered 500"
    assert error_for_status(422, "").message == "The upstream refused the request with status 422"


def test_a_dialect_may_overrule_the_table() -> None:
    error = error_for_status(400, "no credit", kind=errors.UPSTREAM_CREDIT, code="billing", param="x")
    assert isinstance(error, ProviderError)
    assert (error.status, error.code, error.param) == (502, "billing", "x")
    assert error_for_status(404, "gone").param == "model"


def test_keys_in_the_upstreams_text_are_redacted() -> None:
    assert "sk-abcdefgh" not in error_for_status(401, "Incorrect API key: sk-abcdefgh").message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        (((b"Retry-After", b"7"),), 7.0),
        (((b"retry-after", b" 1.5 "),), 1.5),
        (((b"retry-after", b"9"), (b"Retry-After-Ms", b"250")), 0.25),
        (((b"retry-after", b"-3"),), None),
        (((b"retry-after", b"inf"),), None),
        (((b"retry-after", b"soon"),), None),
        (
            (
                (b"date", b"Wed, 21 Oct 2026 07:28:00 GMT"),
                (b"retry-after", b"Wed, 21 Oct 2026 07:29:30 GMT"),
            ),
            90.0,
        ),
        (
            (
                (b"date", b"Wed, 21 Oct 2026 07:28:00 GMT"),
                (b"retry-after", b"Wed, 21 Oct 2026 07:00:00 GMT"),
            ),
            0.0,
        ),
        (((b"retry-after", b"Wed, 21 Oct 2026 07:29:30 GMT"),), None),
        (((b"date", b"?"), (b"retry-after", b"Wed, 21 Oct 2026 07:29:30 GMT")), None),
    ],
)
def test_retry_after(headers: Headers, seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    assert error_for_status(429, "slow", headers).retry_after == seconds
