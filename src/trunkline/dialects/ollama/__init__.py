"""The Ollama API, both ways: ``OllamaBack`` asks Ollama servers; the fronts serve Ollama's clients."""

from trunkline.dialects.ollama.back import OllamaBack
from trunkline.dialects.ollama.front import CHAT, EMBED, EMBEDDINGS, GENERATE, OllamaFront
from trunkline.dialects.ollama.incoming import loading, model_required

__all__ = [
    "CHAT",
    "EMBED",
    "EMBEDDINGS",
    "GENERATE",
    "OllamaBack",
    "OllamaFront",
    "loading",
    "model_required",
]
