from __future__ import annotations

import pytest

from tests.dialects.openai import samples
from tests.dialects.openai.cases import METERED
from tests.dialects.openai.samples import DONE, ROLE, STOP, record, text, usage_chunk
from tests.feeding import ways
from trunkline.dialects.openai.inspect import RelayInspector, StreamInspector, WholeInspector
from trunkline.model import Usage

USAGE_ENDS = {
    "after the reason": (ROLE + text("a") + STOP, usage_chunk(), DONE),
    "with crlf": (ROLE + text("a") + STOP, usage_chunk().replace(b"\n", b"\r\n"), DONE),
    "without choices": (ROLE + STOP, record({"usage": samples.USAGE}), DONE),
    "after a comment": (ROLE + STOP + b": ping\n\n", usage_chunk(), DONE),
    "at the very end": (ROLE + text("a") + STOP, usage_chunk(), b""),
}


@pytest.mark.parametrize("drop_usage", [True, False])
@pytest.mark.parametrize("case", USAGE_ENDS)
def test_the_usage_chunk_is_dropped_if_it_was_not_asked_for(case: str, drop_usage: bool) -> None:
    before, extra, after = USAGE_ENDS[case]
    for pieces in ways(before + extra + after):
        inspector = StreamInspector("Acme", drop_usage)
        passed = b"".join(inspector.feed(piece) for piece in pieces) + inspector.close()
        assert passed == (before + after if drop_usage else before + extra + after)
        assert (inspector.complete, inspector.error, inspector.usage) == (True, None, METERED.usage)


def test_the_usage_chunk_is_dropped_from_among_others() -> None:
    """In one read with others, and alone."""
    inspector = StreamInspector("Acme", drop_usage=True)
    assert inspector.feed(ROLE + usage_chunk() + text("a")) == ROLE + text("a")
    assert inspector.feed(usage_chunk()) == b""
    assert inspector.feed(usage_chunk(samples.USAGE | {"completion_tokens": 1}) + STOP) == STOP
    assert inspector.usage == Usage(prompt_tokens=3, completion_tokens=1)
    assert inspector.feed(DONE) == DONE
    assert inspector.complete


def test_a_whole_answer_that_names_nothing() -> None:
    inspector = WholeInspector("Acme")
    data = b'{"choices":[{}]}'
    inspector.feed(data)
    assert inspector.close() is data
    assert (inspector.usage, inspector.model) == (None, None)


def test_an_answer_that_is_relayed_passes_as_it_comes() -> None:
    inspector = RelayInspector()
    assert (inspector.feed(b"\xff\x00"), inspector.feed(b"{"), inspector.close()) == (b"\xff\x00", b"{", b"")
    assert (inspector.complete, inspector.error, inspector.records) == (True, None, 2)
    assert (inspector.usage, inspector.model) == (None, None)
