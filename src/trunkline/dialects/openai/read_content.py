"""What an answer of an OpenAI-compatible upstream holds besides text and calls, as events.

Images (OpenRouter, Gemini) and sounds stand beside the text or among its parts; thinking may be a part of it
(Mistral). Sources are annotations (OpenAI, OpenRouter), a list of addresses (xAI, Perplexity) or Gemini's
grounding. Of a part of another type it is said that it was left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.error_words import find_words
from trunkline.dialects.openai.answer_schema import ContentPiece, Delta
from trunkline.events import Cited, Media, NotShown, RefusalDelta, StreamEvent, TextDelta, ThinkingDelta


def read_parts(parts: Sequence[ContentPiece], choice: int, events: list[StreamEvent]) -> str:
    """Return the text of a ``content`` that is a list, and append the events of its other parts."""
    texts = []
    sources: list[StreamEvent] = []
    for part in parts:
        if part.thought is True and part.text:
            events.append(ThinkingDelta(part.text, choice))
        elif part.text is not None and part.type in (None, "text", "output_text"):
            texts.append(part.text)
        elif part.thinking is not None:
            thinking = _join(part.thinking)
            if thinking:
                events.append(ThinkingDelta(thinking, choice))
        elif part.refusal is not None:
            events.append(RefusalDelta(part.refusal, choice))
        elif part.image_url is not None:
            events += _images([part.image_url], choice)
        elif isinstance(part.audio, dict):
            events.append(Media("audio", audio=part.audio, choice=choice))
        elif part.reasoning_content or (part.type in ("thinking", "reasoning") and part.text):
            events.append(ThinkingDelta(part.reasoning_content or part.text or "", choice))
        elif part.url:
            sources.append(Cited(part.url, part.title or None, choice=choice))
        else:
            events.append(NotShown(part.type or "content of an unknown type", choice))
    text = "".join(texts)
    if sources:  # they come after the text that they are the sources of
        events += [TextDelta(text, choice), *sources] if text else sources
        return ""
    return text


def read_details(details: Any) -> str:
    """Return the thinking in ``reasoning_details``, of servers who send it nowhere else (MiniMax)."""
    if not isinstance(details, list):
        return ""
    pieces = (each.get("text") or each.get("summary") for each in details if isinstance(each, dict))
    return "".join(piece for piece in pieces if isinstance(piece, str))


def unread_content(body: bytes) -> list[StreamEvent]:
    """Return the names of what a whole answer without any known content has in its place."""
    events: list[StreamEvent] = []
    for index, choice in enumerate(json.loads(body, strict=False).get("choices") or ()):
        message = choice.get("message") if isinstance(choice, dict) else None
        fields = message.items() if isinstance(message, dict) else ()
        events += [NotShown(name, index) for name, value in fields if value and name not in _KNOWN]
    return events


_KNOWN: Final = frozenset(field.name for field in msgspec.structs.fields(Delta)) | {"role", "name"}


def _join(thinking: Any) -> str:
    """Mistral's thinking: a list of parts of text, or the text itself."""
    if isinstance(thinking, str):
        return thinking
    if not isinstance(thinking, list):
        return ""
    pieces = (each.get("text") if isinstance(each, dict) else each for each in thinking)
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _images(images: Sequence[Any], choice: int) -> list[StreamEvent]:
    events: list[StreamEvent] = []
    for image in images:
        url = _image_url(image)
        events.append(NotShown("image", choice) if url is None else Media("image", url=url, choice=choice))
    return events


def _image_url(image: Any) -> str | None:
    """The address of an image: as a request's parts have it, as the images API has it, or plain."""
    if isinstance(image, str):
        return image or None
    if not isinstance(image, dict):
        return None
    for name in ("image_url", "url"):
        if image.get(name):
            return _image_url(image[name])
    data = image.get("b64_json") or image.get("data")
    if isinstance(data, str) and data:
        kind = image.get("media_type") or image.get("mime_type")
        return f"data:{kind if isinstance(kind, str) else 'image/png'};base64,{data}"
    return None


class ContentReader:
    """Reads images, sounds and sources. A source that comes again, as in each chunk of some streams, is told
    once."""

    def __init__(self) -> None:
        self._cited: set[tuple[int, str, int | None, int | None]] = set()

    def read(self, delta: Delta, choice: int) -> list[StreamEvent]:
        """Return the events of what stands beside a message's text."""
        events: list[StreamEvent] = []
        if delta.images:
            events += _images(delta.images, choice)
        if isinstance(delta.audio, dict):
            events.append(Media("audio", audio=delta.audio, choice=choice))
        elif delta.audio:
            events.append(NotShown("audio", choice))
        for each in delta.annotations or ():
            events += self._annotation(each, choice)
        if delta.grounding_metadata:
            events += self.ground(delta.grounding_metadata, choice)
        if isinstance(delta.context, dict):
            events += self.cite(_list(delta.context, "citations"), choice)
        events += self.cite(delta.citations or (), choice)
        return events

    def cite(self, citations: Sequence[Any], choice: int = 0) -> list[StreamEvent]:
        """Return the events of a plain list of sources."""
        events: list[StreamEvent] = []
        for each in citations:
            source = each if isinstance(each, dict) else {"url": each}
            url = _text(source.get("url")) or _text(source.get("link"))
            if url is not None:
                events += self._once(Cited(url, _text(source.get("title")), choice=choice))
        return events

    def ground(self, grounding: Any, choice: int) -> list[StreamEvent]:
        """Return the events of Gemini's grounding: its sources, with the places that refer to them."""
        if not isinstance(grounding, dict):
            return [NotShown("grounding", choice)]
        chunks = [_web(each) for each in _list(grounding, "groundingChunks", "grounding_chunks")]
        events: list[StreamEvent] = []
        used = set()
        for support in _list(grounding, "groundingSupports", "grounding_supports"):
            if not isinstance(support, dict):
                continue
            found = support.get("segment")
            segment: dict[str, Any] = found if isinstance(found, dict) else {}
            start, end = (_count(segment, *names) for names in (_START, _END))
            for index in _list(support, "groundingChunkIndices", "grounding_chunk_indices"):
                if isinstance(index, int) and 0 <= index < len(chunks) and (web := chunks[index]):
                    used.add(index)
                    events += self._once(Cited(web[0], web[1], start or 0, end, choice=choice))
        for index, web in enumerate(chunks):
            if web and index not in used:
                events += self._once(Cited(web[0], web[1], choice=choice))
        return events

    def _annotation(self, annotation: Any, choice: int) -> list[StreamEvent]:
        if not isinstance(annotation, dict):
            return [NotShown("annotation", choice)]
        kind = _text(annotation.get("type")) or "annotation"
        inside = annotation.get("url_citation")
        citation = inside if isinstance(inside, dict) else annotation
        url = citation.get("url")
        if kind != "url_citation" or not isinstance(url, str):
            return [NotShown(kind, choice)]
        start, end = _count(citation, "start_index"), _count(citation, "end_index")
        title, quote = _text(citation.get("title")), _text(citation.get("content"))
        return self._once(Cited(url, title, start, end, quote, choice))

    def _once(self, cited: Cited) -> list[StreamEvent]:
        key = (cited.choice, cited.url, cited.start, cited.end)
        if key in self._cited:
            return []
        self._cited.add(key)
        return [cited]


_START = ("startIndex", "start_index")
_END = ("endIndex", "end_index")


def _web(chunk: Any) -> tuple[str, str | None] | None:
    """Address and title of one of Gemini's sources."""
    for name in ("web", "retrievedContext", "retrieved_context", "maps"):
        source = chunk.get(name) if isinstance(chunk, dict) else None
        if isinstance(source, dict) and isinstance(source.get("uri"), str):
            return source["uri"], find_words(source.get("title")) or None
    return None


def _list(value: dict[str, Any], *names: str) -> list[Any]:
    found = next((value[name] for name in names if isinstance(value.get(name), list)), None)
    return found or []


def _count(value: dict[str, Any], *names: str) -> int | None:
    for name in names:
        count = value.get(name)
        if isinstance(count, int | float) and not isinstance(count, bool):
            return int(count)
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
