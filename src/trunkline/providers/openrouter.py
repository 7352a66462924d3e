"""OpenRouter's own API, for Python programs."""

from __future__ import annotations

from typing import Any

from trunkline.providers.http import VendorProvider, encode_headers
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.providers.vendors import OPENROUTER
from trunkline.settings.time_limits import silence_limits
from trunkline.transport import Client


class OpenRouterClient:
    """A small client of OpenRouter.

    Raises:
        ProviderError: from every method, when OpenRouter fails (502) or does not answer in time.
        CallerError: when it refuses the request itself.
    """

    def __init__(self, api_key: str, *, base_url: str | None = None, timeout: float | None = None) -> None:
        """``timeout`` bounds silence, in seconds. Without it, the gateway's default limits hold."""
        headers = {"authorization": f"Bearer {api_key}", **OPENROUTER.headers}
        self._provider = VendorProvider(
            "openrouter",
            OPENROUTER,
            [base_url or OPENROUTER.url or ""],
            client=Client(),
            headers=encode_headers(headers),
            limits=None if timeout is None else TimeLimitRules(silence_limits(timeout, "timeout")),
        )

    async def chat_completion(
        self, model: str, messages: list[dict[str, Any]], **kwargs: Any
    ) -> dict[str, Any]:
        """``POST /chat/completions``, whole: ``kwargs`` are further fields of the request."""
        body = {"model": model, "messages": messages, **kwargs, "stream": False}
        return await self._provider.ask_json("/chat/completions", body)

    async def fetch_models(self) -> list[dict[str, Any]]:
        """``GET /models``: its list, as OpenRouter sends it."""
        answer = await self._provider.ask_json("/models", None)
        return list(answer.get("data") or ())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._provider.aclose()
