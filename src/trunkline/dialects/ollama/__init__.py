"""The Ollama API, both ways: ``OllamaBack`` asks Ollama servers; the fronts serve Ollama's clients.

``incoming`` parses what clients ask (single values of it in ``values``), ``answers`` writes what they get,
``front`` puts these together. ``render`` writes what we ask, ``reader`` reads what servers answer and
``inspector`` watches what passes through unchanged; ``back`` puts these together. Names and structs of both
sides are in ``wire``, ``logprobs`` has its forms of log probabilities.
"""

from trunkline.dialects.ollama.back import OllamaBack
from trunkline.dialects.ollama.front import CHAT, EMBED, EMBEDDINGS, GENERATE, OllamaFront
from trunkline.dialects.ollama.schema import error_text
from trunkline.dialects.ollama.write import error_body, error_line

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
