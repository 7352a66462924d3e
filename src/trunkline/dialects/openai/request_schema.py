"""The structs that OpenAI's requests are decoded with: names and types of its published schema.

The module holds types and no behaviour. Fields that no translation uses are left out: what becomes of them is
decided by the lists in ``fields``, and what passes through keeps them. ``top_k``, ``min_p``, ``reasoning``,
``reasoning_details``, ``models``, ``plugins`` and ``preset`` are OpenRouter's and vLLM's additions.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from trunkline.model import Effort

DIALECT: Final = "openai"

AtLeastOne = msgspec.Meta(ge=1)
NotEmpty = msgspec.Meta(min_length=1)


class StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Common(msgspec.Struct, kw_only=True):
    """Fields of chat and legacy completions alike, with the types that OpenAI's schema gives them."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    n: Annotated[int, AtLeastOne] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    user: str | None = None
    models: Any = None
    plugins: Any = None
    preset: Any = None


class Summary(Common, kw_only=True):
    """Fields that decide what a request may cost, under the names that other servers have for them."""

    n_predict: Any = None
    num_predict: Any = None
    fallbacks: Any = None


class ChatSummary(Summary, kw_only=True):
    max_completion_tokens: int | None = None
    tools: list[msgspec.Raw] | None = None


class ChatMessages(ChatSummary, kw_only=True):
    messages: Annotated[list[msgspec.Raw], NotEmpty]


class CompletionSummary(Summary, kw_only=True):
    prompt: msgspec.Raw
    best_of: int | None = None


class RelayedSummary(msgspec.Struct):
    """The fields that are read of a request on a relayed path."""

    model: str | None = None
    user: str | None = None
    models: Any = None


class EmbeddingSummary(msgspec.Struct, kw_only=True):
    model: str | None = None
    input: msgspec.Raw
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


class TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str
    cache_control: dict[str, Any] | None = None


class ImageAddress(msgspec.Struct):
    url: str
    detail: str | None = None


class ImagePart(msgspec.Struct, tag_field="type", tag="image_url"):
    image_url: ImageAddress | str


class AudioData(msgspec.Struct):
    data: str
    format: str


class AudioPart(msgspec.Struct, tag_field="type", tag="input_audio"):
    input_audio: AudioData


class FileData(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(msgspec.Struct, tag_field="type", tag="file"):
    file: FileData


class RefusalPart(msgspec.Struct, tag_field="type", tag="refusal"):
    refusal: str


class ThinkingPart(msgspec.Struct, tag_field="type", tag="thinking"):
    """Mistral's, in an earlier answer."""

    thinking: str | list[TextPart] = ""


PartIn = TextPart | ImagePart | AudioPart | FilePart | RefusalPart | ThinkingPart
PartsIn = list[PartIn]


class Function(msgspec.Struct):
    name: str
    arguments: Any = ""


class CustomCall(msgspec.Struct):
    name: str
    input: str = ""


class ToolCallIn(msgspec.Struct):
    function: Function | None = None
    custom: CustomCall | None = None
    id: str | None = None
    type: str = "function"


class MessageIn(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | PartsIn | None = None
    name: str | None = None
    tool_calls: list[ToolCallIn] | None = None
    tool_call_id: str | None = None
    function_call: Function | None = None
    refusal: str | None = None
    audio: dict[str, Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: Any = None


class FunctionSpec(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CustomSpec(msgspec.Struct):
    name: str
    description: str | None = None
    format: dict[str, Any] | None = None


class ToolIn(msgspec.Struct):
    function: FunctionSpec | None = None
    custom: CustomSpec | None = None
    type: str = "function"


class NamedFunction(msgspec.Struct):
    name: str


class AllowedTool(msgspec.Struct):
    function: NamedFunction | None = None
    custom: NamedFunction | None = None
    type: str = "function"


class AllowedTools(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class Choice(msgspec.Struct):
    """A ``tool_choice`` that is more than a word."""

    function: NamedFunction | None = None
    custom: NamedFunction | None = None
    allowed_tools: AllowedTools | None = None
    type: str = "function"


class JsonSchema(msgspec.Struct):
    schema: dict[str, Any] | None = None
    name: str | None = None
    strict: bool | None = None
    description: str | None = None


class ResponseFormat(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ReasoningIn(msgspec.Struct):
    effort: Effort | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class Place(msgspec.Struct):
    city: str | None = None
    region: str | None = None
    country: str | None = None
    timezone: str | None = None


class Location(msgspec.Struct):
    approximate: Place | None = None


class WebSearchOptions(msgspec.Struct):
    search_context_size: str | None = None
    user_location: Location | None = None


class Chat(Common, kw_only=True):
    messages: Annotated[list[MessageIn], NotEmpty]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[ToolIn] | None = None
    tool_choice: Literal["auto", "none", "required"] | Choice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionSpec] | None = None
    function_call: Literal["auto", "none"] | NamedFunction | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    reasoning: ReasoningIn | None = None
    modalities: list[str] | None = None
    web_search_options: WebSearchOptions | None = None


class Completion(Common, kw_only=True):
    prompt: Annotated[list[str | int | list[int]], NotEmpty] | str | None
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    logprobs: int | None = None


class Embedding(msgspec.Struct, kw_only=True):
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None
    input: Annotated[list[str | int | list[int]], NotEmpty] | str
