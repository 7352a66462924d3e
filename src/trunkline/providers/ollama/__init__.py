"""Ollama servers: the provider, what discovery reads of them, their management, and a client for programs.

``provider`` is what the gateway routes to; ``discovery`` reads what a server says of its models;
``management`` has one server pull, copy or delete them; ``client`` speaks the native API for Python programs.
"""

from trunkline.providers.ollama.client import OllamaClient
from trunkline.providers.ollama.management import OllamaServer
from trunkline.providers.ollama.provider import OllamaProvider

__all__ = ["OllamaClient", "OllamaProvider", "OllamaServer"]
