"""The paths that are relayed: what is read of a request, and that nothing is translated."""

from __future__ import annotations

import pytest

from trunkline.dialects.base import Front, RequestSummary
from trunkline.dialects.openai import CHAT, FILE_PATH, RelayFront
from trunkline.errors import INTERNAL, INVALID_JSON, CallerError, GatewayError, ProviderError
from trunkline.model import ChatRequest

FRONT: Front = RelayFront("/audio/speech")
FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'


def test_what_the_front_says_of_itself() -> None:
    assert (FRONT.dialect, FRONT.operation, FRONT.default_provider) == ("openai", "other", None)
    assert (FRONT.is_relayed, FRONT.has_countable_tokens, FRONT.may_name_no_model) == (True, False, True)
    assert (FRONT.method, FRONT.subpath) == ("POST", "/audio/speech")
    assert FRONT.stream_type == b"application/octet-stream"
    assert RelayFront("/files", "GET").method == "GET"
    assert RelayFront("/files", "GET") == RelayFront("/files", "GET") != FRONT


@pytest.mark.parametrize(
    ("body", "model", "user"),
    [
        (b'{"model":"tts","user":"u","input":"Hi"}', "tts", "u"),
        (b'{"input":"Hi"}', None, None),
        (b"", None, None),
        (b" \n", None, None),
        (FORM, "whisper", None),
        (FORM.replace(b"model", b"file"), None, None),
    ],
)
def test_the_model_of_a_request(body: bytes, model: str | None, user: str | None) -> None:
    assert FRONT.summarize(body) == RequestSummary(model=model, stream=False, user=user)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model":7}', b"\xff"])
def test_a_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(CallerError, match="The request body is not a JSON object") as caught:
        FRONT.summarize(body)
    assert caught.value.kind is INVALID_JSON


def test_nothing_is_translated() -> None:
    with pytest.raises(GatewayError, match="relayed only") as caught:
        FRONT.parse(b"{}")
    assert caught.value.kind is INTERNAL
    with pytest.raises(GatewayError, match="relayed only"):
        FRONT.writer(ChatRequest(model="m", messages=()), "m", "x")
    assert FRONT.answer_load_request(ChatRequest(model="m", messages=()), "m") is None


def test_errors() -> None:
    error = ProviderError("Down")
    assert FRONT.error_body(error) == CHAT.error_body(error)
    assert FRONT.stream_error(error) == b""


@pytest.mark.parametrize(
    ("path", "is_file"),
    [
        ("/files/file-1_a", True),
        ("/files/file-1/content", True),
        ("/files/", False),
        ("/files/../models", False),
        ("/files/a/b", False),
        ("/files/a%2Fb", False),
    ],
)
def test_the_path_of_a_file(path: str, is_file: bool) -> None:
    assert (FILE_PATH.fullmatch(path) is not None) is is_file
