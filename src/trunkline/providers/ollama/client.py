"""Ollama's native API, for Python programs."""

from __future__ import annotations

from typing import Any

from trunkline.providers.ollama.provider import DEFAULT_URL, OllamaProvider
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.settings.time_limits import silence_limits


class OllamaClient:
    """A small client of one Ollama server.

    Raises:
        ProviderError: from every method, when the server fails (502) or does not answer in time.
    """

    def __init__(self, base_url: str = DEFAULT_URL, *, timeout: float | None = None) -> None:
        """``timeout`` bounds silence, in seconds. Without it, the gateway's default limits hold."""
        limits = None if timeout is None else TimeLimitRules(silence_limits(timeout, "timeout"))
        self._provider = OllamaProvider(base_url, limits=limits)

    async def chat(self, model: str, messages: list[dict[str, Any]], **kwargs: Any) -> dict[str, Any]:
        """``POST /api/chat``, whole: ``kwargs`` are further fields (``options``, ``tools``)."""
        body = {"model": model, "messages": messages, **kwargs, "stream": False}
        return await self._provider.ask_json("/api/chat", body)

    async def list(self) -> dict[str, Any]:
        """``GET /api/tags``."""
        return await self._provider.ask_json("/api/tags", None)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._provider.aclose()
