from __future__ import annotations

import base64
from typing import Any

import pytest

from trunkline.dialects.ollama import parse_values
from trunkline.errors import CallerError
from trunkline.model import Effort, Format, Image, Sampling


@pytest.mark.parametrize(
    ("value", "parsed", "length"),
    [
        (300, 300, 300),
        (-1, -1, -1),
        (0, 0, 0),
        ("5m", "5m", 300),
        ("0s", "0s", 0),
        ("-1m", "-1m", -60),
        ("1h30m0.5s", "1h30m0.5s", 5400.5),
        ("250ms", "250ms", 0.25),
        (".5s", ".5s", 0.5),
        ("-1", -1, -1),
        ("1.5", 1.5, 1.5),
    ],
)
def test_keep_alive(value: float | str, parsed: float | str, length: float) -> None:
    assert parse_values.parse_keep_alive(value) == parsed
    assert parse_values.keep_alive_seconds(parsed) == pytest.approx(length)


@pytest.mark.parametrize("value", [None, ""])
def test_keep_alive_left_open(value: str | None) -> None:
    assert parse_values.parse_keep_alive(value) is None


@pytest.mark.parametrize("value", ["5x", "m", "5m ", "for ever", "5m-3s"])
def test_keep_alive_refused(value: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_values.parse_keep_alive(value)
    assert caught.value.message == f'time: invalid duration "{value}"'
    assert caught.value.param == "keep_alive"


@pytest.mark.parametrize(
    ("options", "sampling", "rest"),
    [
        (None, Sampling(), {}),
        ({}, Sampling(), {}),
        (
            {
                "num_predict": 64.0,
                "temperature": 1,
                "top_p": 0.9,
                "top_k": 40,
                "min_p": 0.05,
                "stop": ["\n", "END"],
                "seed": 7,
                "presence_penalty": 0.1,
                "frequency_penalty": 0.2,
                "repeat_penalty": 1.1,
                "num_ctx": 4096,
                "mirostat": 1,
            },
            Sampling(
                max_tokens=64,
                temperature=1.0,
                top_p=0.9,
                top_k=40,
                min_p=0.05,
                stop=("\n", "END"),
                seed=7,
                presence_penalty=0.1,
                frequency_penalty=0.2,
                repetition_penalty=1.1,
            ),
            {"num_ctx": 4096, "mirostat": 1},
        ),
        ({"num_predict": -1, "seed": -1}, Sampling(), {}),
        ({"num_predict": 0, "temperature": None, "num_gpu": None}, Sampling(), {"num_gpu": None}),
    ],
)
def test_sampling(options: dict[str, Any] | None, sampling: Sampling, rest: dict[str, Any]) -> None:
    assert parse_values.parse_sampling(options) == (sampling, rest)


def test_sampling_takes_more() -> None:
    assert parse_values.parse_sampling(None, logprobs=True)[0] == Sampling(logprobs=True)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("temperature", "hot", "float32"),
        ("temperature", True, "float32"),
        ("top_k", "1", "integer"),
        ("seed", [1], "integer"),
        ("stop", "END", "array of strings"),
        ("stop", [1], "array of strings"),
    ],
)
def test_a_known_option_of_the_wrong_type(name: str, value: Any, kind: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_values.parse_sampling({name: value})
    assert caught.value.message == f'option "{name}" must be of type {kind}'
    assert caught.value.param == f"options.{name}"


@pytest.mark.parametrize(
    ("value", "effort"),
    [
        (None, None),
        ("", None),
        (True, "medium"),
        (False, "none"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("max", "max"),
    ],
)
def test_think(value: Any, effort: Effort | None) -> None:
    assert parse_values.parse_think(value) == effort


@pytest.mark.parametrize("value", ["much", 1, [], {}, "true"])
def test_think_refused(value: Any) -> None:
    with pytest.raises(CallerError, match="invalid think value") as caught:
        parse_values.parse_think(value)
    assert caught.value.param == "think"


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, None),
        ("", None),
        ("json", Format()),
        ({"type": "object"}, Format(schema={"type": "object"})),
    ],
)
def test_format(value: Any, form: Format | None) -> None:
    assert parse_values.parse_format(value) == form


@pytest.mark.parametrize("value", ["xml", 1, ["json"], True])
def test_format_refused(value: Any) -> None:
    with pytest.raises(CallerError, match="invalid format") as caught:
        parse_values.parse_format(value)
    assert caught.value.param == "format"


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\n\x00\x00\x00WEBPVP8 ", "image/webp"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "data:image/whatever;base64,"])
def test_image(head: bytes, media_type: str, prefix: str) -> None:
    data = base64.b64encode(head + b"\x00" * 30).decode()
    assert parse_values.parse_image(prefix + data, "images[0]") == Image(data=data, media_type=media_type)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_an_image_in_lines(ends: str) -> None:
    lines = base64.encodebytes(b"GIF89a" + b"\x00" * 90).decode()
    assert parse_values.parse_image(lines.replace("\n", ends), "images[0]").data == lines.replace("\n", "")


def test_a_very_small_image() -> None:
    assert (
        parse_values.parse_image(base64.b64encode(b"GIF89a").decode(), "images[0]").media_type == "image/gif"
    )


@pytest.mark.parametrize("value", ["", "é", "not base64!", "AAA", base64.b64encode(b"%PDF-1.7").decode()])
def test_image_refused(value: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse_values.parse_image(value, "images[3]")
    assert caught.value.param == "images[3]"
