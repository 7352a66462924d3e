from __future__ import annotations

import msgspec
import pytest

from tests.dialects.ollama.cases import BACK, COMPLETION_REQUEST
from trunkline.dialects.base import RequestDefaults, RequestSummary
from trunkline.errors import CallerError
from trunkline.events import Started, TextDelta


def test_an_echoed_completion_begins_with_its_prompt() -> None:
    echoed = msgspec.structs.replace(COMPLETION_REQUEST, echo=True)
    for stream in (True, False):
        reader = BACK.reader(echoed, stream)
        events = reader.feed(b'{"response":"upon"}\n') + reader.close()
        assert events[:3] == [Started(), TextDelta("Once "), TextDelta("upon")]


def test_options_that_are_no_object_are_not_patched() -> None:
    summary = RequestSummary(model="m", stream=True)
    with pytest.raises(CallerError) as caught:
        BACK.patch(b'{"model":"m","options":[]}', summary, "m", RequestDefaults(max_tokens=1))
    assert caught.value.param == "options"
