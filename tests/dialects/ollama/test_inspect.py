from __future__ import annotations

import pytest

from tests.dialects.contract import check_error
from tests.dialects.ollama.cases import FAULTS, LINE
from trunkline.dialects.ollama import inspect
from trunkline.dialects.ollama.inspect import StreamInspector, WholeInspector
from trunkline.errors import UPSTREAM_TOO_LARGE


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held of a line counts over all reads."""
    monkeypatch.setattr(inspect, "MAX_RECORD", len(LINE))
    inspector = StreamInspector()
    assert inspector.feed(LINE + LINE[:9]) == LINE
    assert inspector.feed(b"x" * len(LINE)) == b""
    check_error(inspector.error, UPSTREAM_TOO_LARGE)
    assert inspector.close() == b""


def test_a_whole_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WholeInspector, "max_size", 10)
    inspector = WholeInspector()
    assert inspector.feed(b"x" * 11) == inspector.feed(b"x") == inspector.close() == b""
    check_error(inspector.error, UPSTREAM_TOO_LARGE)


@pytest.mark.parametrize("case", FAULTS)
def test_a_stream_with_a_fault_has_no_usage(case: str) -> None:
    inspector = StreamInspector()
    inspector.feed(LINE + FAULTS[case][0])
    inspector.close()
    assert inspector.usage is None
