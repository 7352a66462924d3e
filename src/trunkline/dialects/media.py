"""What becomes of images, sounds and other content where a dialect has no field for it.

What can be shown as text is (the address of an image, the transcript of a sound). All else is named: in the
log and, where the answer is sent whole, in a header. An answer that would be empty without it gets a text
that says so, because nobody looks for a header when all seems well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from trunkline.events import Media

_DATA_URL: Final = re.compile(r"data:([\w.+/-]*)(?:;[\w=.-]+)*;base64,")

IMAGE: Final = "image"
AUDIO: Final = "audio"
CITATION: Final = "citation"

BY_VALUE_ONLY: Final = (
    "takes images by value only: send a data: URL, or let the gateway fetch images (FETCH_IMAGE_URLS=true)"
)
"""What a client is told of an upstream that fetches no images, after the upstream's name."""


def split_data_url(url: str | None) -> tuple[str, str] | None:
    """Return the media type and the base64 of a ``data:`` URL; None for any other address."""
    found = _DATA_URL.match(url or "")
    if found is None or url is None:
        return None
    return found[1] or "image/png", url[found.end() :]


def is_remote(url: object) -> bool:
    """Return whether this is the http(s) address of an image."""
    return isinstance(url, str) and url.startswith(("https://", "http://"))


def shown_as_text(media: Media, not_shown: list[str], *, follows_text: bool) -> str:
    """Return what of an image or a sound can be shown as text; what cannot be is added to ``not_shown``.

    Of an image that has no address the text says at least that there is one: it was paid for.
    """
    text = _as_text(media, not_shown)
    is_paragraph = text and media.kind == "image" and follows_text
    return "\n\n" + text if is_paragraph else text


def _as_text(media: Media, not_shown: list[str]) -> str:
    if media.kind == "image":
        if is_remote(media.url):
            return f"![image]({media.url})"
        add_name(not_shown, IMAGE)
        return notice([IMAGE])
    transcript = (media.audio or {}).get("transcript")
    if (media.audio or {}).get("data"):
        add_name(not_shown, AUDIO)
    return transcript if isinstance(transcript, str) else ""


def add_name(not_shown: list[str], what: str) -> None:
    """Add the name of what was left out, once."""
    name = re.sub(r"[^\w. -]", "_", what, flags=re.ASCII)[:60]
    if name not in not_shown:
        not_shown.append(name)


def notice(not_shown: Sequence[str]) -> str:
    """Return the text of an answer of which nothing else could be shown."""
    return f"[The model's answer holds content that this API cannot carry: {', '.join(not_shown)}.]"
