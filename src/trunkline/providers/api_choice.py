"""In which of its two APIs of OpenAI's kind a chat is asked: the chat API or the Responses API.

OpenAI's newer models take tools and think at the same time in the Responses API only, and some vendors have
no chat API any more. So a request that is translated is asked in the API that can do what it asks. A chat
client's own request passes through, unless the chat API is known to refuse it: then it is translated as well.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Back, Front
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.openai import Quirks
from trunkline.dialects.reasoning import ReasoningProfile, find_profile, nearest_effort
from trunkline.dialects.responses import (
    SHARED_FIELDS,
    ResponsesBack,
    ResponsesRequest,
    searches,
    unsent_knobs,
)
from trunkline.model import (
    Audio,
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    Document,
    Effort,
    EmbeddingRequest,
)

_MOST_MODELS: Final = 4096


class _Chat(msgspec.Struct):
    """What decides of a chat client's body."""

    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    reasoning_effort: Effort | None = None
    n: int | None = None
    modalities: Any = None
    audio: Any = None


_NEEDLES: Final = (b'"tools"', b'"functions"', b'"max"')
"""A chat client's body that would be refused has one of these in it."""
_decode_chat: Final = msgspec.json.Decoder(_Chat).decode
_decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode: Final = msgspec.json.Decoder().decode


class ApiChoice:
    """Chooses the API of each chat.

    Args:
        chat: The chat API.
        responses: The Responses API.
        quirks: What the chat API takes.
        always: Every chat is asked in the Responses API.
    """

    def __init__(self, chat: Back, responses: ResponsesBack, quirks: Quirks, *, always: bool) -> None:
        self._chat = chat
        self._responses = responses
        self._quirks = quirks
        self._always = always
        self._profiles: dict[str, ReasoningProfile] = {}
        """What other models take, as far as they were asked for."""
        self.stays: set[str] = set()
        """Models of which it is known that all of their chat clients' requests pass through."""

    def leaves_chat(self, body: bytes, model: str) -> bool:
        """Return whether the chat API would refuse a chat client's own request that the other one takes."""
        if self._always:
            return True
        profile = self._profiles.get(model)
        if profile is None:
            profile = find_profile(model, self._quirks.profiles)
            stays = profile is None or (profile.calls_thinking and not profile.more_efforts)
            if len(self.stays) + len(self._profiles) < _MOST_MODELS:
                if stays:
                    self.stays.add(model)
                elif profile is not None:
                    self._profiles[model] = profile
            if stays or profile is None:
                return False
        if not any(needle in body for needle in _NEEDLES):
            return False
        try:
            fields = _decode_chat(body)
        except UNREADABLE:  # the upstream says what is wrong
            return False
        speaks = isinstance(fields.modalities, list) and "audio" in fields.modalities
        if (fields.n or 1) > 1 or fields.audio is not None or speaks:
            return False
        effort = fields.reasoning_effort
        has_tools = bool(fields.tools or fields.functions)
        return _is_refused(profile, effort, has_tools=has_tools, unasked=not profile.calls_unasked)

    def choose(
        self, front: Front, body: bytes, request: CanonicalRequest, model: str
    ) -> tuple[Back, CanonicalRequest]:
        """Return the API for a request that is translated, and the request with what that API has besides.

        Args:
            front: The operation of the client's dialect.
            body: The client's body.
            request: The same in canonical form.
            model: The model's name at the provider.
        """
        chat = request.as_chat() if isinstance(request, CompletionRequest) and request.templated else request
        if not isinstance(chat, ChatRequest) or not (self._always or self._needs_responses(chat, model)):
            return self._chat, request
        assert not isinstance(request, EmbeddingRequest)
        left_out = [*request.left_out, *unsent_knobs(request.sampling, self._responses.quirks)]
        extras = dict(request.extras)
        if front.dialect == self._chat.dialect and front.operation == "chat":
            shared = {name: raw for name, raw in _decode_fields(body).items() if name in SHARED_FIELDS}
            extras |= {name: _decode(raw) for name, raw in shared.items()}
            left_out = [name for name in left_out if name not in shared]
        return self._responses, msgspec.structs.replace(request, left_out=tuple(left_out), extras=extras)

    def _needs_responses(self, request: ChatRequest, model: str) -> bool:
        """Whether only the Responses API can do what a request asks."""
        parts = [part for message in request.messages for part in message.parts]
        if request.sampling.n > 1 or any(isinstance(part, Audio) for part in parts):
            return False
        if isinstance(request, ResponsesRequest) or any(
            isinstance(part, Document) and part.url is not None for part in parts
        ):
            return True
        search = request.web_search
        if search is not None and searches(search, model, self._responses.quirks):
            return not any(fnmatchcase(model, pattern) for pattern in self._quirks.searching_models)
        profile = find_profile(model, self._quirks.profiles)
        if profile is None:
            return False
        effort = None if request.reasoning is None else request.reasoning.effort
        return _is_refused(profile, effort, has_tools=bool(request.tools), unasked=profile.thinks_unasked)


def _is_refused(profile: ReasoningProfile, effort: Effort | None, *, has_tools: bool, unasked: bool) -> bool:
    """Whether the chat API does not do what is asked.

    Args:
        profile: What it takes for the model.
        effort: The effort that is asked for.
        has_tools: There are tools to call.
        unasked: Where no effort is named, tools are the same as with one.
    """
    known = (*profile.efforts, *profile.more_efforts)
    if effort is not None and known and nearest_effort(effort, known) in profile.more_efforts:
        return True
    if not has_tools or profile.calls_thinking:
        return False
    return unasked if effort is None else effort != "none"
