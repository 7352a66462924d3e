"""Ollama's native API, for Python programs."""

from __future__ import annotations

from typing import Any

from trunkline.providers.ollama.provider import OllamaProvider
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.settings.time_limits import silence_limits


class OllamaClient:
    """A small client of one Ollama server.

    Raises:
        ProviderError: from every method, when the server fails (502) or does not answer in time.
    """

    def __init__(self, base_url: str | None = None, *, timeout: float | None = None) -> None:
        """
        Args:
            base_url: the server's address. None takes it from the settings of this process (OLLAMA_BASE_URL,
                OLLAMA_HOST, …); of a fleet, it is the first server's.
            timeout: the longest silence in seconds. None takes the time limits from the settings.

        Raises:
            SettingsError: the settings are needed and invalid.
        """
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
