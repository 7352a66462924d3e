"""What every back does: where it asks, what it makes of a client's body, and how it reads an error answer."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.dialects.contract import every_case, every_dialect
from trunkline.dialects.base import NO_DEFAULTS, Back, Front, RequestDefaults, RequestSummary
from trunkline.errors import CallerError, Kind, ProviderError
from trunkline.model import CanonicalRequest, Operation


@every_case("back", "operation", "canonical", "path", of="TARGETS")
def test_targets(
    dialect: ModuleType,
    back: Back,
    operation: Operation,
    canonical: CanonicalRequest | None,
    path: str | None,
) -> None:
    assert back.target(operation, canonical) == path


@every_dialect
def test_a_back_has_the_name_of_its_front(dialect: ModuleType) -> None:
    front = next(iter(dialect.FRONTS.values()))[0]
    assert dialect.BACK.dialect == front.dialect


@every_dialect
def test_only_anthropic_counts_tokens(dialect: ModuleType) -> None:
    counts = dialect.BACK.dialect == "anthropic"
    assert dialect.BACK.count_tokens_path == ("/messages/count_tokens" if counts else None)


@every_case("canonical", "stream", "reader_type", of="READERS")
def test_a_request_has_its_reader(
    dialect: ModuleType, canonical: CanonicalRequest, stream: bool, reader_type: type
) -> None:
    assert type(dialect.BACK.reader(canonical, stream)) is reader_type


@every_case("back", "operation", "stream", "inspector_type", of="INSPECTORS")
def test_an_answer_has_its_inspector(
    dialect: ModuleType, back: Back, operation: Operation, stream: bool, inspector_type: type
) -> None:
    summary = RequestSummary(model="m", stream=stream)
    assert type(back.inspector(operation, summary)) is inspector_type


@every_case("back", "front", "body", "defaults", of="UNPATCHED")
def test_a_body_that_needs_no_change_is_the_same_object(
    dialect: ModuleType, back: Back, front: Front, body: bytes, defaults: RequestDefaults
) -> None:
    assert back.patch(body, front.summarize(body), "up", defaults) is body


@every_case("back", "front", "body", "defaults", "patched", of="PATCHED")
def test_a_body_is_changed_only_where_it_must_be(
    dialect: ModuleType, back: Back, front: Front, body: bytes, defaults: RequestDefaults, patched: bytes
) -> None:
    assert back.patch(body, front.summarize(body), "up", defaults) == patched


@every_dialect
@pytest.mark.parametrize("body", [b"[]", b"{", b'{"a":' + b"[" * 5000, b"\xff"], ids=lambda body: body[:9])
def test_a_body_that_is_no_object_is_not_patched(dialect: ModuleType, body: bytes) -> None:
    summary = RequestSummary(model="m", stream=False)
    for defaults in (NO_DEFAULTS, RequestDefaults(max_tokens=1)):
        with pytest.raises(CallerError, match="not a JSON object") as caught:
            dialect.BACK.patch(body, summary, "n", defaults)
        assert caught.value.param is None


@every_case("status", "body", "kind", "message", "attributes", of="ERROR_ANSWERS")
def test_error_answers(
    dialect: ModuleType, status: int, body: bytes, kind: Kind, message: str, attributes: dict[str, Any]
) -> None:
    error = dialect.BACK.read_error(status, [(b"retry-after", b"3")], body)
    assert (error.kind, error.message) == (kind, message)
    assert {name: getattr(error, name) for name in attributes} == attributes
    caller = status in (400, 413, 422) and kind.type == "invalid_request_error"
    assert isinstance(error, CallerError if caller or attributes.get("code") in _CALLERS else ProviderError)


_CALLERS = ("previous_response_not_found", "not_found")
"""Codes of a 404 that is about something which the request refers to."""


@every_dialect
def test_a_rendered_body_asks_for_its_model(dialect: ModuleType) -> None:
    for request, stream, _ in dialect.READERS.values():
        body = dialect.BACK.render(request, "up", stream, NO_DEFAULTS)
        assert b'"model":"up"' in body
