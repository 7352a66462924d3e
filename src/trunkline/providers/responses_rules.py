"""What each vendor's Responses API takes, and whether its models are asked in it: data, one row a vendor.

A row counts for the provider type of its name, and for a server of the type ``openai-compatible`` whose
address, or whose setting ``vendor``, says that it is the vendor's.

Facts: each vendor's API reference, and what other gateways' users have reported, as gathered in the project's
notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from trunkline.dialects.fit.rules import FitRules, NameRule, SchemaRule
from trunkline.dialects.responses import ResponsesQuirks
from trunkline.dialects.turns import ANY_ORDER
from trunkline.providers.fits import OPENAI_RESPONSES_FIT

ApiName: TypeAlias = Literal["chat", "responses", "auto"]
"""``auto``: whichever can do what a request asks."""


class ResponsesRow(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor."""

    api: ApiName = "chat"
    quirks: ResponsesQuirks = ResponsesQuirks()
    fit: FitRules | None = None
    """What it refuses although the meaning is plain; None if that is not known."""


UNKNOWN: Final = ResponsesRow()
"""A server of which nothing else is known."""

_OPENAI: Final = ResponsesRow(
    api="auto",
    quirks=ResponsesQuirks(
        turns=ANY_ORDER,
        plain_models=("gpt-3.5*", "gpt-4*", "chatgpt-*", "gpt-5-chat*", "gpt-5.?-chat*"),
        takes_plain_reasoning=False,
        custom_tools=True,
        searching_models=("gpt-4o*", "gpt-4.1", "gpt-4.1-2*", "gpt-4.1-mini*", "gpt-[5-9]*", "o3*", "o4*"),
    ),
    fit=OPENAI_RESPONSES_FIT,
)

RESPONSES_ROWS: Final[Mapping[str, ResponsesRow]] = {
    "openai": _OPENAI,
    "azure": msgspec.structs.replace(_OPENAI, api="chat"),
    "openrouter": ResponsesRow(
        quirks=ResponsesQuirks(knobs=frozenset({"top_k", "presence_penalty", "frequency_penalty"})),
    ),
    "xai": ResponsesRow(
        quirks=ResponsesQuirks(searching_models=("grok-4*", "grok-[5-9]*"), takes_plain_reasoning=False),
        fit=FitRules(
            tool_names=NameRule(),
            tool_schema=SchemaRule(lacks=frozenset({"additionalProperties"})),
            answer_schema=SchemaRule(lacks=frozenset({"additionalProperties"})),
        ),
    ),
    "perplexity": ResponsesRow(
        api="responses",
        quirks=ResponsesQuirks(searching_models=("*",), takes_plain_reasoning=False),
    ),
}
"""By the name of the vendor. Perplexity has no chat API any more; not all of Azure's addresses have both."""


def responses_row(kind: str, vendor: str | None = None) -> ResponsesRow:
    """Return the row of a provider.

    Args:
        kind: Its type.
        vendor: Whose API it has, if its address or the settings say so.
    """
    return RESPONSES_ROWS.get(vendor or kind, UNKNOWN)
