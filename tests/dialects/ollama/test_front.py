from __future__ import annotations

import msgspec
import pytest

from trunkline.dialects.base import Front
from trunkline.dialects.ollama import CHAT, EMBED, EMBEDDINGS, GENERATE
from trunkline.dialects.ollama.write import EmbeddingWriter, StreamWriter, WholeWriter
from trunkline.errors import UPSTREAM_TIMEOUT, ProviderError
from trunkline.events import Embedded

FRONTS: dict[str, Front] = {"chat": CHAT, "generate": GENERATE, "embed": EMBED, "embeddings": EMBEDDINGS}

CHAT_BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'


@pytest.mark.parametrize(
    ("name", "operation", "dialect"),
    [
        ("chat", "chat", "ollama"),
        ("generate", "completions", "ollama"),
        ("embed", "embeddings", "ollama"),
        ("embeddings", "embeddings", "ollama-legacy"),
    ],
)
def test_fronts(name: str, operation: str, dialect: str) -> None:
    front = FRONTS[name]
    assert (front.operation, front.dialect) == (operation, dialect)
    assert front.stream_type == b"application/x-ndjson"
    error = ProviderError("too slow", UPSTREAM_TIMEOUT)
    assert front.error_body(error) == b'{"error":"too slow"}'
    assert front.stream_error(error) == b'{"error":"too slow"}\n'


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("chat", CHAT_BODY, StreamWriter),
        ("chat", CHAT_BODY[:-1] + b',"stream":false}', WholeWriter),
        ("generate", b'{"model":"m","prompt":"a"}', StreamWriter),
        ("generate", b'{"model":"m","prompt":"a","stream":false}', WholeWriter),
        ("embed", b'{"model":"m","input":"a"}', EmbeddingWriter),
        ("embeddings", b'{"model":"m","prompt":"a"}', EmbeddingWriter),
    ],
)
def test_each_request_has_its_writer(name: str, body: bytes, kind: type) -> None:
    front = FRONTS[name]
    assert front.summarize(body).model == "m"
    request = front.parse(body)
    assert isinstance(front.writer(request, "m", "chatcmpl-"), kind)


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


def test_other_requests_do_not_load() -> None:
    assert CHAT.answer_load_request(CHAT.parse(CHAT_BODY), "m") is None
