"""Ollama servers: the provider, what discovery reads of them, their management, and a client for programs."""

from trunkline.providers.ollama.client import OllamaClient
from trunkline.providers.ollama.management import OllamaServer
from trunkline.providers.ollama.provider import DEFAULT_URL, OllamaProvider

__all__ = ["DEFAULT_URL", "OllamaClient", "OllamaProvider", "OllamaServer"]
