"""Calls in a history that bring back no state of the vendor who is about to be asked.

Gemini wants a signature for each turn with calls. What stands for one that another vendor's model cannot have
given is known of the vendor's chat API alone: behind OpenRouter, such a history is translated to that, also
where the client's own dialect would pass through.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from trunkline.dialects.base import Front
from trunkline.dialects.openai.thoughts import ThoughtRules
from trunkline.dialects.responses.own_state import made_state
from trunkline.dialects.vendor_state import Maker, unseal
from trunkline.errors import GatewayError
from trunkline.model import ChatRequest, Message, Thinking, ToolCall

ForeignCalls = Callable[[Front, bytes, str], bool]
"""Says of a client's body for a model whether it has calls without their state."""


def foreign_calls(rules: ThoughtRules | None, maker: Maker) -> ForeignCalls | None:
    """Return what looks for such calls; None if the vendor does without it.

    Args:
        rules: What the vendor takes back.
        maker: The vendor.
    """
    if rules is None or rules.missing_signature is None or not rules.signs_in_details:
        return None
    models = rules.signed_models

    def has_foreign_calls(front: Front, body: bytes, model: str) -> bool:
        if front.operation != "chat" or not any(fnmatchcase(model, each) for each in models):
            return False
        if any(_may_be_own(state, maker) for state in made_state(body)):
            return False  # reasoning items, whose state no other dialect has a place for
        try:
            request = front.parse(body)
        except GatewayError:  # the upstream says what is wrong
            return False
        return isinstance(request, ChatRequest) and any(_is_foreign(each, maker) for each in request.messages)

    return has_foreign_calls


def _is_foreign(message: Message, maker: Maker) -> bool:
    if message.role != "assistant" or not any(isinstance(part, ToolCall) for part in message.parts):
        return False
    states = (part.signature for part in message.parts if isinstance(part, Thinking))
    return not any(_may_be_own(state, maker) for state in states if state)


def _may_be_own(state: str, maker: Maker) -> bool:
    """Whether state may be the vendor's. What the client's own dialect has a place for is sealed as that of
    the dialect's vendor, whoever made it."""
    sealed = unseal(state)
    if sealed is None or sealed.form in ("redacted", "encrypted"):
        return not maker.is_others(state if sealed is None else sealed.data)
    return sealed.maker == maker.name
