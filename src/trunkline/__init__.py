"""Trunkline: one port that speaks OpenAI, Ollama and Anthropic, in front of every model you have.

This is the library's face. Each name is imported when it is first used, so that ``import trunkline`` costs
next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trunkline.embedded import (
        LLMRouter,
        LoadBalanceStrategy,
        ProviderRegistry,
        ProviderType,
        RouteEndpoint,
    )
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
    from trunkline.server.admin.app import auth_bearer
    from trunkline.server.app.asgi import get_app
    from trunkline.settings import Settings, load_settings

    provider_registry: ProviderRegistry
    ollama_provider: Any
    openai_provider: Any
    openrouter_provider: Any
    cerebras_provider: Any
    anthropic_provider: Any

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
    "LLMRouter": "embedded",
    "LoadBalanceStrategy": "embedded",
    "OllamaClient": "providers.ollama",
    "OllamaProvider": "providers.ollama",
    "OpenRouterClient": "providers.openrouter",
    "ProviderError": "errors",
    "ProviderRegistry": "embedded",
    "ProviderType": "embedded",
    "RouteEndpoint": "embedded",
    "Settings": "settings",
    "StreamingChatProvider": "providers.base",
    "auth_bearer": "server.admin.app",
    "get_app": "server.app.asgi",
    "load_settings": "settings",
}
"""Public names and the modules that they live in."""

_OF_REGISTRY: Final = {
    f"{name}_provider": name for name in ("ollama", "openai", "openrouter", "cerebras", "anthropic")
}
"""Names for single providers of the registry, as the settings configure them."""

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
    "LLMRouter",
    "LoadBalanceStrategy",
    "OllamaClient",
    "OllamaProvider",
    "OpenRouterClient",
    "ProviderError",
    "ProviderRegistry",
    "ProviderType",
    "RouteEndpoint",
    "Settings",
    "StreamingChatProvider",
    "__version__",
    "auth_bearer",
    "get_app",
    "load_settings",
    "provider_registry",
]


def __getattr__(name: str) -> Any:
    if name == "provider_registry":
        registry = globals()[name] = __getattr__("ProviderRegistry")()
        return registry
    if name in _OF_REGISTRY:
        registry = globals().get("provider_registry") or __getattr__("provider_registry")
        return registry.get(_OF_REGISTRY[name])
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
    return getattr(import_module(f"trunkline.{home}"), name)
