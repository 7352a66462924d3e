"""OpenRouter's own API, for Python programs."""

from __future__ import annotations

from typing import Any

from trunkline.providers.from_settings import client_for, headers_for, limits_for, read_settings_of
from trunkline.providers.http import VendorProvider
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.providers.vendors import OPENROUTER
from trunkline.settings import ProviderConfig, SettingsError
from trunkline.settings.time_limits import silence_limits
from trunkline.transport import Client


class OpenRouterClient:
    """A small client of OpenRouter.

    Raises:
        ProviderError: from every method, when OpenRouter fails (502) or does not answer in time.
        CallerError: when it refuses the request itself.
    """

    def __init__(
        self, api_key: str | None = None, *, base_url: str | None = None, timeout: float | None = None
    ) -> None:
        """
        Args:
            api_key: the key. None takes it from the settings of this process (OPENROUTER_API_KEY).
            base_url: the address of the API. None takes it from the settings (OPENROUTER_BASE_URL), with the
                headers, the proxy and the authorities of the section ``openrouter``, if there is one.
            timeout: the longest silence in seconds. None takes the time limits from the settings.

        Raises:
            SettingsError: there is no key, or the settings are needed and invalid.
        """
        config, limits = ProviderConfig(), TimeLimitRules()
        if api_key is None or base_url is None or timeout is None:
            settings, config = read_settings_of("openrouter")
            limits = limits_for("openrouter", config, settings)
        if api_key is None:
            api_key = next((key.get_secret_value() for key in config.api_key), None)
            if api_key is None:
                raise SettingsError("OpenRouterClient needs a key; set OPENROUTER_API_KEY, or pass api_key")
        if timeout is not None:
            limits = TimeLimitRules(silence_limits(timeout, "timeout"))
        address = config if base_url is None else ProviderConfig(urls=(base_url,))
        self._provider = VendorProvider(
            "openrouter",
            OPENROUTER,
            [url + OPENROUTER.path for url in address.addresses[:1]],
            client=client_for(address, Client()),
            headers=headers_for(address, OPENROUTER.headers, api_key, OPENROUTER.key_headers),
            limits=limits,
        )

    async def chat_completion(
        self, model: str, messages: list[dict[str, Any]], **kwargs: Any
    ) -> dict[str, Any]:
        """``POST /chat/completions``, whole: ``kwargs`` are further fields of the request."""
        body = {"model": model, "messages": messages, **kwargs, "stream": False}
        return await self._provider.ask_json("/chat/completions", body)

    async def embeddings(
        self,
        model: str,
        input: str | list[Any],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """``POST /embeddings``: the vectors of a text, or of each text of a list.

        Args:
            model: the model's id.
            input: what OpenRouter takes: a text, texts, or lists of tokens.
            kwargs: further fields of the request (``dimensions``, ``encoding_format``, ``provider``).
        """
        return await self._provider.ask_json("/embeddings", {"model": model, "input": input, **kwargs})

    async def fetch_models(self) -> list[dict[str, Any]]:
        """``GET /models``: its list, as OpenRouter sends it."""
        answer = await self._provider.ask_json("/models", None)
        return list(answer.get("data") or ())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._provider.aclose()
