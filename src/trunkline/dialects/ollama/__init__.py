"""The Ollama API, both ways: ``OllamaBack`` asks Ollama servers; the fronts serve Ollama's clients."""

from trunkline.dialects.ollama.answers import error_body, error_line
from trunkline.dialects.ollama.back import OllamaBack
from trunkline.dialects.ollama.front import CHAT, EMBED, EMBEDDINGS, GENERATE, OllamaFront
from trunkline.dialects.ollama.wire import error_text

__all__ = [
    "CHAT",
    "EMBED",
    "EMBEDDINGS",
    "GENERATE",
    "OllamaBack",
    "OllamaFront",
    "error_body",
    "error_line",
    "error_text",
]
