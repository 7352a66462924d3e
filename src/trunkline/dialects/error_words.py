"""The words of an error, wherever a server puts them.

Vendors, their compatible servers and the proxies before them use a dozen forms: an envelope, a list of
envelopes, a flat object, FastAPI's ``detail``, lists of ``errors``, MiniMax's ``base_resp``, JSON within a
string, plain text, a page of HTML. The words are kept, whatever the form.
"""

from __future__ import annotations

import html
import re
from typing import Any, Final

import msgspec

_WORDS: Final = (
    "message",
    "detail",
    "msg",
    "status_msg",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "Message",
    "description",
    "reason",
    "title",
    "faultstring",
    "error",
    "errors",
    "fault",
    "details",
)
"""Fields that hold the words, the most usual ones first."""

_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>|<h1[^>]*>(.*?)</h1>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_DEPTH: Final = 4

_decode: Final = msgspec.json.Decoder().decode


def find_any_words(body: bytes) -> str:
    """Return the words in the body of an answer that is none, wherever they stand; nothing if it may hold
    what a model has said."""
    if b'"content"' in body:
        return ""
    try:
        value = _decode(body)
    except (ValueError, RecursionError):
        return ""
    return seek_words(open_envelope(value))


def open_envelope(value: Any) -> Any:
    """Return the inside of a decoded error answer: an object with its fields, or its words alone."""
    if isinstance(value, list):
        items = [item for item in value if item]
        return open_envelope(items[0]) if len(items) == 1 or (items and isinstance(items[0], dict)) else items
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("errors"), dict) and value["errors"]:
        return {"message": value["errors"]}
    inside = value.get("error") or value.get("errors")
    if isinstance(inside, dict) and inside:
        return inside
    if isinstance(inside, list) and inside:
        return inside[0] if len(inside) == 1 and isinstance(inside[0], dict) else {**value, "message": inside}
    if isinstance(inside, str) and not isinstance(value.get("message"), str | dict | list):
        return {**value, "message": inside} if "code" in value or "type" in value else inside
    base = value.get("base_resp")
    if isinstance(base, dict) and is_failed(base):
        return {"message": base.get("status_msg"), "code": str(base.get("status_code"))}
    return value


def is_failed(base_resp: Any) -> bool:
    """Whether MiniMax's ``base_resp`` says that the request failed."""
    return isinstance(base_resp, dict) and base_resp.get("status_code") not in (None, 0, "0")


def find_words(value: Any, depth: int = 0) -> str:
    """Return the words in ``value``: a string, or what the usual fields of an object or a list hold."""
    if isinstance(value, str):
        return _unpack(value, depth)
    if depth >= _DEPTH:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (find_words(item, depth + 1) for item in value)))
    if not isinstance(value, dict):
        return ""
    for name in _WORDS:
        words = find_words(value.get(name), depth + 1)
        if words:
            return _locate(value.get("loc")) + words
    if depth:  # an object of fields, each with what is wrong with it
        named = {name: find_words(item, depth + 1) for name, item in value.items()}
        return "; ".join(f"{name}: {words}" for name, words in named.items() if words and name not in _CODES)
    return ""


def seek_words(value: Any, depth: int = 0) -> str:
    """Return the words in ``value`` as :func:`find_words` does, else those of the first object inside."""
    words = find_words(value)
    if words or depth >= _DEPTH:
        return words
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    nested = (seek_words(each, depth + 1) for each in inside if isinstance(each, dict | list))
    return next(filter(None, nested), "")


_CODES: Final = frozenset(
    {"type", "code", "loc", "status", "object", "param", "input", "ctx", "url", "instance"}
)
"""Fields beside the words that are not themselves words."""


def _locate(path: Any) -> str:
    """The field that one of FastAPI's details is about."""
    return ".".join(str(step) for step in path) + ": " if isinstance(path, list) and path else ""


def _unpack(text: str, depth: int) -> str:
    """The words of an error that was put into a string as JSON; any other text as it is."""
    stripped = text.strip()
    if depth < _DEPTH and stripped[:1] in ("{", "["):
        try:
            return find_words(open_envelope(_decode(stripped)), depth + 1) or text
        except (ValueError, RecursionError):
            return text
    return text


def find_hidden(value: Any) -> Any:
    """Return the inside of the error that an answer without content turns out to be; None if it is none."""
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if not isinstance(value, dict):
        return None
    is_error = value.get("error") or value.get("errors") or is_failed(value.get("base_resp"))
    if not is_error and not value.get("id"):
        message = value.get("message")
        is_error = (message and (isinstance(message, str) or "detail" in message)) or any(
            value.get(name) for name in _TELLING
        )
        if value.get("success") is False or value.get("status") in _FAILED:
            return open_envelope(value) | {"message": seek_words(value)}
    return open_envelope(value) if is_error else None


_TELLING: Final = ("detail", "msg", "error_message", "errorMessage", "Message", "fault")
"""Fields that only an error has where an answer has no content."""
_FAILED: Final = ("error", "failed", "failure", "fail")


def quote(body: bytes) -> str:
    """Return the words of a body that is no JSON (a page, a proxy's line); nothing for broken JSON."""
    return "" if body[:1] in (b"{", b"[", b'"') else read_text(body)


def read_text(body: bytes) -> str:
    """Return the words of a body that is no JSON: its text, or the title of a page."""
    text = body.decode("utf-8", "replace").strip()
    if not text.startswith("<"):
        return text
    found = _TITLE.search(text)
    if found is None:
        return ""
    return html.unescape(_TAG.sub("", found[1] or found[2] or "")).strip()
