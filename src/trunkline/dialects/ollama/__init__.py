"""Ollama's API, as clients speak it to the gateway and as Ollama servers do.

- ``front``: the four operations that clients may ask for.
- ``back``: the native API of Ollama servers.
- ``parse``: requests; ``parse_values``: the single values in them; ``go_json``: bodies that only Go reads.
- ``render``: requests to servers.
- ``read``: servers' answers.
- ``write``: answers to clients.
- ``inspect``: what passes through.
- ``errors``: the error object for clients, and errors of servers.
- ``request_schema``, ``answer_schema``: the structs and names of requests and answers.

Two modules hold values that requests and answers share: ``logprobs`` the forms of log probabilities,
``tool_calls`` ids and arguments of tool calls. Source: ollama/ollama, ``api/types.go``.
"""

from trunkline.dialects.ollama.back import OllamaBack
from trunkline.dialects.ollama.errors import error_body, error_text, stream_error
from trunkline.dialects.ollama.front import CHAT, EMBED, EMBEDDINGS, GENERATE, OllamaFront

__all__ = [
    "CHAT",
    "EMBED",
    "EMBEDDINGS",
    "GENERATE",
    "OllamaBack",
    "OllamaFront",
    "error_body",
    "error_text",
    "stream_error",
]
