"""The structs that Responses requests are decoded with: names and types of OpenAI's published schema.

The module holds types and no behaviour. Fields that no translation uses are left out: what becomes of them is
decided by the lists in ``fields``. Items and tools are decoded in two steps, because their other fields
depend on their ``type``.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from trunkline.model import Effort

DIALECT: Final = "responses"
PATH: Final = "/responses"

AtLeastOne = msgspec.Meta(ge=1)
NotEmpty = msgspec.Meta(min_length=1)
UpTo20 = msgspec.Meta(ge=0, le=20)

LOGPROBS: Final = "message.output_text.logprobs"
"""The one ``include`` that changes what a model is asked for."""
SIGNED: Final = "signature:"
"""Put before a thinking signature that is not sealed and travels as a reasoning item's
``encrypted_content``. What is neither sealed nor begins so is another server's secret and no signature."""

Verbosity = Literal["low", "medium", "high"]
SummaryDetail = Literal["auto", "concise", "detailed"]


class Summary(msgspec.Struct, kw_only=True):
    """The fields that are decoded of a request before it is routed."""

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
    multi_agent: Any = None
    access_programs: Any = None
    moderation: Any = None
    models: Any = None
    plugins: Any = None
    preset: Any = None


class NamedTool(msgspec.Struct):
    type: str
    name: str | None = None


class Choice(msgspec.Struct):
    """A ``tool_choice`` that is more than a word."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[NamedTool] | None = None


class ReasoningIn(msgspec.Struct):
    effort: Effort | None = None
    summary: SummaryDetail | None = None
    generate_summary: SummaryDetail | None = None
    """The older name of ``summary``."""


class FormatIn(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class TextIn(msgspec.Struct):
    format: FormatIn | None = None
    verbosity: Verbosity | None = None


class Request(Summary, kw_only=True):
    """All fields of a request that are used."""

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


class Typed(msgspec.Struct):
    """The fields of an input item, or of a tool, that tell its type."""

    type: str | None = None
    role: str | None = None
    id: str | None = None
    execution: str | None = None
    """Who runs a search for tools: the ``server`` or the ``client``."""


class TextPart(msgspec.Struct, tag_field="type", tag="input_text"):
    text: str
    prompt_cache_breakpoint: dict[str, Any] | None = None


class OutputTextPart(msgspec.Struct, tag_field="type", tag="output_text"):
    text: str


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    refusal: str


class ImagePart(msgspec.Struct, tag_field="type", tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class FilePart(msgspec.Struct, tag_field="type", tag="input_file"):
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None


class AudioData(msgspec.Struct):
    data: str
    format: str


class AudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    input_audio: AudioData


PartIn = TextPart | OutputTextPart | RefusalPart | ImagePart | FilePart | AudioPart


class MessageItem(msgspec.Struct):
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[PartIn]


class CallItem(msgspec.Struct):
    call_id: Annotated[str, NotEmpty]
    name: str
    arguments: Any
    namespace: str | None = None


class ResultItem(msgspec.Struct):
    call_id: Annotated[str, NotEmpty]
    output: str | list[TextPart | ImagePart | FilePart]


class ClientCallItem(msgspec.Struct):
    """A call of a tool that the client runs, other than a function."""

    call_id: str | None = None
    id: str | None = None
    """The id of older shell calls."""
    name: str | None = None
    namespace: str | None = None
    input: str | None = None
    action: dict[str, Any] | None = None
    actions: list[dict[str, Any]] | None = None
    operation: dict[str, Any] | None = None
    arguments: Any = None
    tools: list[msgspec.Raw] | None = None
    """What a search for tools has found."""


class Exit(msgspec.Struct):
    """How a command ended."""

    type: str = ""
    exit_code: int | None = None


class CommandOutput(msgspec.Struct):
    stdout: str | None = None
    stderr: str | None = None
    outcome: Exit | None = None


class Screenshot(msgspec.Struct):
    image_url: str | None = None
    file_id: str | None = None


class PatchResult(msgspec.Struct):
    output: str | None = None
    status: str | None = None


class ShellResult(msgspec.Struct):
    output: list[CommandOutput]


class ScreenResult(msgspec.Struct):
    output: Screenshot


class ReasoningPart(msgspec.Struct):
    text: str


class ReasoningItem(msgspec.Struct):
    summary: list[ReasoningPart] | None = None
    content: list[ReasoningPart] | None = None
    encrypted_content: str | None = None


class Named(msgspec.Struct):
    """The name of a tool, if it has one."""

    name: str | None = None


class FunctionTool(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class SearchLocation(msgspec.Struct):
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class SearchFilters(msgspec.Struct):
    allowed_domains: list[str] | None = None


class SearchTool(msgspec.Struct):
    search_context_size: str | None = None
    user_location: SearchLocation | None = None
    filters: SearchFilters | None = None
    external_web_access: bool | None = None


class NamespaceTool(msgspec.Struct):
    name: Annotated[str, NotEmpty]
    tools: list[msgspec.Raw]
