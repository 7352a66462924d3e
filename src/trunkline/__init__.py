"""Trunkline: one port that speaks OpenAI, Ollama and Anthropic, in front of every model you have.

This is the library's face. Each name is imported when it is first used, so that ``import trunkline`` costs
next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trunkline.errors import CallerError, GatewayError, ProviderError
    from trunkline.providers.base import ChatProvider, EmbeddingProvider, StreamingChatProvider
    from trunkline.providers.custom import CustomProcessingProvider
    from trunkline.providers.ollama import OllamaClient, OllamaProvider
    from trunkline.providers.openrouter import OpenRouterClient
    from trunkline.providers.schemas import (
        ChatCompletionChunk,
        ChatCompletionRequest,
        ChatCompletionResponse,
        ChatMessage,
        EmbeddingRequest,
        EmbeddingResponse,
    )
    from trunkline.server.app import auth_bearer
    from trunkline.server.asgi import get_app
    from trunkline.settings import Settings, load_settings

__version__ = "0.1.0"

_HOMES: Final = {
    "CallerError": "errors",
    "ChatCompletionChunk": "providers.schemas",
    "ChatCompletionRequest": "providers.schemas",
    "ChatCompletionResponse": "providers.schemas",
    "ChatMessage": "providers.schemas",
    "ChatProvider": "providers.base",
    "CustomProcessingProvider": "providers.custom",
    "EmbeddingProvider": "providers.base",
    "EmbeddingRequest": "providers.schemas",
    "EmbeddingResponse": "providers.schemas",
    "GatewayError": "errors",
    "OllamaClient": "providers.ollama",
    "OllamaProvider": "providers.ollama",
    "OpenRouterClient": "providers.openrouter",
    "ProviderError": "errors",
    "Settings": "settings",
    "StreamingChatProvider": "providers.base",
    "auth_bearer": "server.app",
    "get_app": "server.asgi",
    "load_settings": "settings",
}
"""Public names and the modules that they live in."""

__all__ = [
    "CallerError",
    "ChatCompletionChunk",
    "ChatCompletionRequest",
    "ChatCompletionResponse",
    "ChatMessage",
    "ChatProvider",
    "CustomProcessingProvider",
    "EmbeddingProvider",
    "EmbeddingRequest",
    "EmbeddingResponse",
    "GatewayError",
    "OllamaClient",
    "OllamaProvider",
    "OpenRouterClient",
    "ProviderError",
    "Settings",
    "StreamingChatProvider",
    "__version__",
    "auth_bearer",
    "get_app",
    "load_settings",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
    return getattr(import_module(f"trunkline.{home}"), name)
