"""What a client is told about its request."""

from __future__ import annotations

import pytest

from trunkline.pipeline.explain import MAX_LINE, fit_lines, is_asked


@pytest.mark.parametrize(
    ("value", "expected"), [(b"fit", True), (b"route, Fit", True), (b"fitting", False), (b"", False)]
)
def test_who_asks(value: bytes, expected: bool) -> None:
    assert is_asked([(b"accept", b"fit"), (b"x-trunkline-explain", value)], b"fit") is expected


def test_nobody_asks_without_the_header() -> None:
    assert not is_asked([(b"accept", b"fit")], b"fit")


def test_what_is_no_ascii_is_not_in_a_header() -> None:
    assert fit_lines(["größe", "b"]) == b"x-trunkline-fit: gr??e; b\r\n"


def test_a_long_list_is_cut() -> None:
    changes = [f"messages[{number}].role" for number in range(500)]
    line = fit_lines(changes)
    assert line.startswith(b"x-trunkline-fit: messages[0].role; messages[1].role")
    assert line.endswith(b"more\r\n")
    assert len(line) < MAX_LINE + 100
