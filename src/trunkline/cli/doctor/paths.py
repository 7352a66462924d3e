"""Where an API may lie that is not at its address: ``/v1`` left out or written twice, a whole path pasted."""

from __future__ import annotations

from typing import Final

_ENDPOINTS: Final = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/responses",
    "/messages",
    "/models",
    "/api/chat",
    "/api/generate",
    "/api/tags",
)
"""Ends of addresses that are copied from a curl line."""
_BASES: Final = ("/v1", "/api/v1", "/openai/v1", "/openai", "")


def likely_bases(path: str, *, is_ollama: bool) -> list[str]:
    """Other paths before those of the requests, the likeliest first.

    Args:
        path: the one at which there is no API; empty or with a slash before it and none after.
        is_ollama: whether Ollama's API is looked for, which lies at the root.
    """
    whole = next((path.removesuffix(end) for end in _ENDPOINTS if path.endswith(end)), path)
    trunk = whole
    while trunk.endswith("/v1"):
        trunk = trunk.removesuffix("/v1")
    if is_ollama:
        found = [whole, trunk, trunk.removesuffix("/api"), ""]
    else:
        before = [trunk] if trunk.endswith(("/api", "/openai")) else []
        found = [whole, trunk + "/v1", *before, *(trunk + base for base in _BASES), "/v1"]
    return [each for each in dict.fromkeys(found) if each != path]


def what_was_wrong(path: str, right: str) -> str:
    """The finding's code for a path that should be another one."""
    if right == path + "/v1":
        return "v1_missing"
    doubled = path.endswith("/v1/v1") and right == path.removesuffix("/v1")
    return "v1_doubled" if doubled else "wrong_path"
