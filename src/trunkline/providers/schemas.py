"""OpenAI's chat and embedding objects as Pydantic models: the face of the library and of Python providers.

The data path does not use them (its structs are msgspec's); they are what a Python program or a provider
written by a user holds in its hands. Unknown fields are kept, so that nothing is lost on the way through.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Open(BaseModel):
    """Keeps fields that OpenAI, or a vendor, adds later."""

    model_config = ConfigDict(extra="allow")


class FunctionCall(_Open):
    """A called function: its name and its arguments as JSON text."""

    name: str
    arguments: str = "{}"


class ToolCall(_Open):
    """A model's call of a tool."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(_Open):
    """One turn of a conversation, as asked or as answered."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, its parts joined."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")
        return self.content or ""


class ChatCompletionRequest(_Open):
    """A chat request; fields beyond those named here are kept and sent on."""

    model: str
    messages: list[ChatMessage]
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[dict[str, Any]] | None = None
    user: str | None = None


class Usage(_Open):
    """Tokens of one answer; zeros where nobody counted."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Choice(_Open):
    """One of the answers."""

    index: int = 0
    message: ChatMessage
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"] = "stop"


class ChatCompletionResponse(_Open):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int = Field(description="Unix time in seconds.")
    model: str
    choices: list[Choice]
    usage: Usage = Usage()


class ChoiceDelta(_Open):
    """What one chunk adds to a choice."""

    index: int = 0
    delta: dict[str, Any] = {}
    finish_reason: str | None = None


class ChatCompletionChunk(_Open):
    """A piece of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChoiceDelta] = []
    usage: Usage | None = None


class EmbeddingRequest(_Open):
    """An embedding request."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class Embedding(_Open):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int = 0
    embedding: list[float] | str


class EmbeddingResponse(_Open):
    """All vectors, in the order of the inputs."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage = Usage()
