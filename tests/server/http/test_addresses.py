"""The usual spellings of a path."""

from __future__ import annotations

import pytest

from trunkline.server.http.addresses import LONGEST, plain, spellings


def of(path: str) -> list[str]:
    return list(spellings(path, lambda name: name == "vllm"))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("//v1/messages/", ["/v1/messages", "/v1/messages"]),
        ("/messages", ["/v1/messages"]),
        ("/v1/v1/messages", ["/v1/messages", "/v1/messages"]),
        ("/api/v1/models/a/b", ["/v1/models/a/b", "/v1/models/a/b"]),
        ("/vllm/api/v1/x", ["/vllm/v1/x", "/vllm/v1/x"]),
        ("/vllm", []),
        ("/", []),
        ("", ["/"]),
        ("/v1", []),
    ],
)
def test_spellings(path: str, found: list[str]) -> None:
    assert of(path) == found


def test_an_absurd_path_takes_no_time() -> None:
    assert of("/v1" * LONGEST) == []
    assert len(of("/v1" * 300)) < 6


def test_plain() -> None:
    assert plain("//a///b/") == "/a/b"
    assert plain("") == "/"
