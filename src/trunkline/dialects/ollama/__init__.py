"""The Ollama API, both ways: ``OllamaBack`` asks Ollama servers; the fronts serve Ollama's clients."""

from trunkline.dialects.ollama.back import OllamaBack

__all__ = ["OllamaBack"]
