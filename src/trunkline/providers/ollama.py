"""Ollama servers, over their native API (not their /v1, which loses mid-stream errors).

Adds to a provider over HTTP what only Ollama has: models that must be loaded before they answer, a fleet of
equal servers, images that must be fetched for it, and its own words for what went wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any, Final

from trunkline.dialects.base import Fills, Front
from trunkline.dialects.ollama import OllamaBack
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_UNREACHABLE, GatewayError, ProviderError
from trunkline.exchange import Exchange
from trunkline.providers.base import ModelInfo, Upstream
from trunkline.providers.images import ImageFetcher, mentions_image_url
from trunkline.providers.wire import Rule, WireProvider
from trunkline.transport import Client, Timeouts

DEFAULT_URL: Final = "http://127.0.0.1:11434"


class OllamaProvider(WireProvider):
    """One Ollama server, or a fleet of them.

    As a library: ``await OllamaProvider(base_url="http://gpu1:11434").chat_completions(request)``.
    """

    def __init__(
        self,
        base_url: str | Sequence[str] = DEFAULT_URL,
        *,
        name: str = "ollama",
        client: Client | None = None,
        timeouts: Timeouts | None = None,
        load_timeout: float = 300.0,
        temperature: float | None = None,
        max_tokens: int | None = None,
        streaming: bool = True,
        images: ImageFetcher | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        rules: Sequence[Rule] = (),
        local: bool = True,
    ) -> None:
        """``load_timeout`` is how many seconds a model that is known not to be loaded gets to its first
        byte; ``temperature`` and ``max_tokens`` fill what a request leaves open; ``images`` fetches images
        by URL, which are refused without it.

        Raises:
            ValueError: an address is none.
        """
        urls = [base_url] if isinstance(base_url, str) else list(base_url)
        own = [Rule("*", Fills(temperature=temperature, max_tokens=max_tokens))]
        super().__init__(
            name,
            "ollama",
            OllamaBack(),
            [url.rstrip("/") for url in urls],
            client=client or Client(),
            headers=headers,
            timeouts=timeouts,
            local=local,
            rules=[*(own if temperature is not None or max_tokens is not None else ()), *rules],
            streaming=streaming,
        )
        self._images = images
        self._load_timeout = load_timeout
        self._resident: dict[str, set[str]] = {}
        """Loaded models by upstream, as far as the last look at ``/api/ps`` and later answers tell."""

    def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None:
        """Ollama takes images by value only: those by URL are fetched, if that is allowed."""
        if self._images is None or front.operation != "chat" or not mentions_image_url(body):
            return None
        return self._images.inline(body)

    def timeouts_for(self, exchange: Exchange, upstream: Upstream) -> Timeouts:
        """A model that is known not to be loaded gets more time to its first byte."""
        loaded = self._resident.get(upstream.name)
        model = tagged(exchange.upstream_model).lower()
        if loaded is None or model in loaded:
            return self.timeouts
        loaded.add(model)  # it is being loaded now; the next look at /api/ps says whether it stayed
        patience = max(self._load_timeout, self.timeouts.first_byte)
        return Timeouts(self.timeouts.connect, patience, self.timeouts.idle, self.timeouts.total)

    def worded(self, error: GatewayError) -> GatewayError:
        """In the words that Ollama's users know, with what mends it."""
        if error.kind is UPSTREAM_UNREACHABLE and error.message.startswith("Connection refused to "):
            where = error.message.removeprefix("Connection refused to ")
            error.message = f"Connection refused to Ollama server {where}. Start it with `ollama serve`"
            error.provider = self.name
        return super().worded(error)

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """``GET /api/tags``, and ``/api/ps`` for what is loaded."""
        tags = await self.get_json(upstream, "/api/tags")
        items = tags.get("models") if isinstance(tags, dict) else None
        if not isinstance(items, list):
            problem = ProviderError("Ollama sent a list of models that is none", UPSTREAM_PROTOCOL)
            raise self.worded(problem)
        await self._look_at_residents(upstream)
        return [_model(item) for item in items if isinstance(item, dict) and _name(item)]

    async def _look_at_residents(self, upstream: Upstream) -> None:
        try:
            running = await self.get_json(upstream, "/api/ps")
            names = {_name(item).lower() for item in running["models"]}
        except (ProviderError, KeyError, TypeError, AttributeError):
            self._resident.pop(upstream.name, None)  # servers before 0.1.33 have no /api/ps
        else:
            self._resident[upstream.name] = names


class OllamaClient:
    """Ollama's native API for Python programs that want its own shapes.

    Raises:
        ProviderError: from every method, when the server fails (502) or does not answer in time.
    """

    def __init__(self, base_url: str = DEFAULT_URL, *, timeout: float = 30.0) -> None:
        """``timeout`` bounds silence, in seconds."""
        limits = Timeouts(connect=timeout, first_byte=timeout, idle=timeout)
        self._provider = OllamaProvider(base_url, timeouts=limits)

    async def chat(self, model: str, messages: list[dict[str, Any]], **kwargs: Any) -> dict[str, Any]:
        """``POST /api/chat``, whole: ``kwargs`` are further fields (``options``, ``tools``)."""
        body = {"model": model, "messages": messages, **kwargs, "stream": False}
        return await self._ask("/api/chat", body)

    async def list(self) -> dict[str, Any]:
        """``GET /api/tags``."""
        return await self._ask("/api/tags", None)

    async def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        return await self._provider.ask_json(path, body)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._provider.aclose()


def tagged(name: str) -> str:
    """``name`` with Ollama's default tag, if it has none."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _name(item: dict[str, Any]) -> str:
    return str(item.get("model") or item.get("name") or "")


def _model(item: dict[str, Any]) -> ModelInfo:
    details = item.get("details")
    capabilities = item.get("capabilities")
    length = details.get("context_length") if isinstance(details, dict) else None
    return ModelInfo(
        id=_name(item),
        created=_unix(item.get("modified_at")),
        owner="library",
        context_length=length if isinstance(length, int) else None,
        capabilities=tuple(capabilities) if isinstance(capabilities, list) else (),
        size=item.get("size"),
        digest=item.get("digest"),
        modified_at=item.get("modified_at"),
        details=details if isinstance(details, dict) else None,
    )


def _unix(text: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp())
    except ValueError:
        return None
