"""The structs that Messages requests are decoded with: names and types of Anthropic's published schema.

The module holds types and no behaviour. Fields that no translation uses are left out: what becomes of them is
decided by the lists in ``fields``, and what passes through keeps them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

DIALECT: Final = "anthropic"
PATH: Final = "/messages"
COUNT_TOKENS_PATH: Final = "/messages/count_tokens"

AtLeastOne = msgspec.Meta(ge=1)
NotNegative = msgspec.Meta(ge=0)
NotEmpty = msgspec.Meta(min_length=1)


class Base64Source(msgspec.Struct, tag_field="type", tag="base64"):
    media_type: str
    data: str


class UrlSource(msgspec.Struct, tag_field="type", tag="url"):
    url: str


class FileSource(msgspec.Struct, tag_field="type", tag="file"):
    file_id: str


class PlainSource(msgspec.Struct, tag_field="type", tag="text"):
    data: str


class ContentSource(msgspec.Struct, tag_field="type", tag="content"):
    content: Any = None


class TextBlock(msgspec.Struct, tag_field="type", tag="text"):
    text: str
    cache_control: dict[str, Any] | None = None


class ImageBlock(msgspec.Struct, tag_field="type", tag="image"):
    source: Base64Source | UrlSource | FileSource


class DocumentBlock(msgspec.Struct, tag_field="type", tag="document"):
    source: Base64Source | UrlSource | FileSource | PlainSource | ContentSource
    title: str | None = None
    context: str | None = None


class ThinkingBlock(msgspec.Struct, tag_field="type", tag="thinking"):
    thinking: str
    signature: str | None = None


class RedactedBlock(msgspec.Struct, tag_field="type", tag="redacted_thinking"):
    data: str


class ToolUseBlock(msgspec.Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")


class SearchResultBlock(msgspec.Struct, tag_field="type", tag="search_result"):
    """What a client's own search found."""

    content: list[TextBlock]
    source: str = ""
    title: str = ""


class ServerBlock(msgspec.Struct, tag_field="type"):
    """What Anthropic's own servers did, or found."""

    content: Any = None
    name: str | None = None
    input: Any = None


class ServerToolUse(ServerBlock, tag="server_tool_use"):
    pass


class McpToolUse(ServerBlock, tag="mcp_tool_use"):
    pass


class McpToolResult(ServerBlock, tag="mcp_tool_result"):
    pass


class WebSearchResult(ServerBlock, tag="web_search_tool_result"):
    pass


class WebFetchResult(ServerBlock, tag="web_fetch_tool_result"):
    pass


class CodeResult(ServerBlock, tag="code_execution_tool_result"):
    pass


class BashResult(ServerBlock, tag="bash_code_execution_tool_result"):
    pass


class EditorResult(ServerBlock, tag="text_editor_code_execution_tool_result"):
    pass


class ToolSearchResult(ServerBlock, tag="tool_search_tool_result"):
    pass


class Compaction(ServerBlock, tag="compaction"):
    pass


class ToolReferenceBlock(msgspec.Struct, tag_field="type", tag="tool_reference"):
    """One of the tools that a client's search has found."""

    tool_name: str


ResultContent = list[TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock]


class ToolResultBlock(msgspec.Struct, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str | ResultContent | None = None
    is_error: bool | None = None


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ThinkingBlock
    | RedactedBlock
    | ToolUseBlock
    | ToolResultBlock
    | SearchResultBlock
    | ServerToolUse
    | McpToolUse
    | McpToolResult
    | WebSearchResult
    | WebFetchResult
    | CodeResult
    | BashResult
    | EditorResult
    | ToolSearchResult
    | Compaction
)


class MessageIn(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class ToolIn(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    max_uses: int | None = None
    """This and the next three belong to the search of the web."""
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    user_location: dict[str, Any] | None = None


class AutoChoice(msgspec.Struct, tag_field="type", tag="auto"):
    disable_parallel_tool_use: bool | None = None


class AnyChoice(msgspec.Struct, tag_field="type", tag="any"):
    disable_parallel_tool_use: bool | None = None


class NamedChoice(msgspec.Struct, tag_field="type", tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(msgspec.Struct, tag_field="type", tag="none"):
    pass


Display = Literal["summarized", "omitted"]


class EnabledThinking(msgspec.Struct, tag_field="type", tag="enabled"):
    budget_tokens: Annotated[int, AtLeastOne]
    display: Display | None = None


class AdaptiveThinking(msgspec.Struct, tag_field="type", tag="adaptive"):
    display: Display | None = None


class BetweenToolsThinking(msgspec.Struct, tag_field="type", tag="between_tools"):
    display: Display | None = None


class DisabledThinking(msgspec.Struct, tag_field="type", tag="disabled"):
    pass


ThinkingIn = EnabledThinking | AdaptiveThinking | BetweenToolsThinking | DisabledThinking


class FormatIn(msgspec.Struct):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: FormatIn | None = None


class Metadata(msgspec.Struct):
    user_id: str | None = None


class Common(msgspec.Struct, kw_only=True):
    """The fields that both routing and translating need."""

    model: str | None = None
    max_tokens: Annotated[int, NotNegative]
    stream: bool | None = None
    metadata: Metadata | None = None
    thread: Any = None
    context_management: Any = None
    container: Any = None
    compaction: Any = None
    fallbacks: Any = None
    fallback_credit_token: Any = None
    billing_policy: Any = None
    inference_geo: Any = None
    mcp_servers: list[Any] | None = None


class Summary(Common, kw_only=True):
    models: Any = None
    plugins: Any = None
    preset: Any = None


class SummaryMessages(Summary, kw_only=True):
    messages: list[msgspec.Raw]
    """May be empty only where a thread goes on."""


class Messages(Common, kw_only=True):
    messages: Annotated[list[MessageIn], NotEmpty]
    system: str | list[TextBlock] | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    tools: list[ToolIn] | None = None
    tool_choice: AutoChoice | AnyChoice | NamedChoice | NoChoice | None = None
    thinking: ThinkingIn | None = None
    output_config: OutputConfig | None = None
    output_format: FormatIn | None = None
