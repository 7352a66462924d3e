from __future__ import annotations

import msgspec
import pytest

from trunkline.dialects.ollama import CHAT, EMBED, EMBEDDINGS, GENERATE
from trunkline.events import Embedded


def test_the_two_forms_of_embeddings() -> None:
    for front, field in (EMBED, "embeddings"), (EMBEDDINGS, "embedding"):
        writer = front.writer(front.parse(b'{"model":"m","input":"a","prompt":"a"}'), "m", "")
        writer.feed([Embedded([[1.0]])])
        assert field in msgspec.json.decode(writer.finish())


@pytest.mark.parametrize(
    ("front", "body", "field"),
    [
        (CHAT, b'{"model":"m"}', '"done_reason":"load"'),
        (CHAT, b'{"model":"m","messages":[],"keep_alive":0}', '"done_reason":"unload"'),
        (
            GENERATE,
            b'{"model":"m","prompt":"","keep_alive":"0s"}',
            '"response":"","done":true,"done_reason":"unload"',
        ),
        (EMBED, b'{"model":"m","input":[]}', '"embeddings":[]'),
        (EMBEDDINGS, b'{"model":"m","prompt":""}', '"embedding":[]'),
    ],
)
def test_requests_that_only_load(front: object, body: bytes, field: str) -> None:
    assert isinstance(front, type(CHAT))
    answer = front.answer_load_request(front.parse(body), "m")
    assert answer is not None
    assert field in answer.decode()
