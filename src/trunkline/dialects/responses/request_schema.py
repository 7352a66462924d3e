"""The structs that Responses requests are decoded with: names and types of OpenAI's published schema.

Only types stand here, no meaning. Fields that no translation uses are left out: an unknown field is never
an error. Items and tools are decoded in two steps, because their other fields depend on their ``type``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from trunkline.model import Effort

AtLeastOne = msgspec.Meta(ge=1)
NotEmpty = msgspec.Meta(min_length=1)
UpTo20 = msgspec.Meta(ge=0, le=20)

LOGPROBS: Final = "message.output_text.logprobs"
"""The one ``include`` that changes what a model is asked for."""
SIGNED: Final = "signature:"
"""Before a thinking signature where it travels as a reasoning item's ``encrypted_content``: what begins
otherwise is another server's secret and no signature."""

Verbosity = Literal["low", "medium", "high"]
Summary = Literal["auto", "concise", "detailed"]


class Incoming(msgspec.Struct):
    """Base of what comes in."""


class Common(Incoming, kw_only=True):
    """What is read of a request before it is routed."""

    model: str | None = None
    input: str | Annotated[list[msgspec.Raw], NotEmpty] | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, AtLeastOne] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: Annotated[int, UpTo20] | None = None
    tools: list[msgspec.Raw] | None = None
    user: str | None = None
    previous_response_id: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None


class NamedTool(Incoming):
    type: str
    name: str | None = None


class Choice(Incoming):
    """A ``tool_choice`` that is more than a word."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[NamedTool] | None = None


class ReasoningIn(Incoming):
    effort: Effort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    """The older name of ``summary``."""


class FormatIn(Incoming):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class TextIn(Incoming):
    format: FormatIn | None = None
    verbosity: Verbosity | None = None


class Asked(Common, kw_only=True):
    """All of a request."""

    instructions: str | None = None
    tool_choice: Literal["auto", "none", "required"] | Choice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningIn | None = None
    text: TextIn | None = None
    metadata: dict[str, str] | None = None
    include: list[str] | None = None
    store: bool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    max_tool_calls: int | None = None
    stream_options: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None


class Typed(Incoming):
    """An input item, or a tool, as far as it says what it is."""

    type: str | None = None
    role: str | None = None
    id: str | None = None


class TextPart(Incoming, tag_field="type", tag="input_text"):
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None


class SaidPart(Incoming, tag_field="type", tag="output_text"):
    text: str


class RefusalPart(Incoming, tag_field="type", tag="refusal"):
    refusal: str


class ImagePart(Incoming, tag_field="type", tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FilePart(Incoming, tag_field="type", tag="input_file"):
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class AudioData(Incoming):
    data: str
    format: str


class AudioPart(Incoming, tag_field="type", tag="input_audio"):
    input_audio: AudioData


PartIn = TextPart | SaidPart | RefusalPart | ImagePart | FilePart | AudioPart


class MessageItem(Incoming):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[PartIn]


class CallItem(Incoming):
    call_id: Annotated[str, NotEmpty]
    name: str
    arguments: str
    namespace: str | None = None


class ResultItem(Incoming):
    call_id: Annotated[str, NotEmpty]
    output: str | list[TextPart | ImagePart | FilePart]


class ReasonedPart(Incoming):
    text: str


class ReasoningItem(Incoming):
    summary: list[ReasonedPart] | None = None
    content: list[ReasonedPart] | None = None
    encrypted_content: str | None = None


class FunctionTool(Incoming):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamespaceTool(Incoming):
    name: Annotated[str, NotEmpty]
    tools: list[msgspec.Raw]
