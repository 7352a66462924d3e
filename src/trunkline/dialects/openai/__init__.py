"""OpenAI's chat, completions and embeddings API, as clients speak it to us and as we speak it to upstreams.

``requests`` parses what clients ask, ``answers`` writes what they get, ``upstream`` renders what we ask,
``reading`` reads what upstreams answer, ``scanning`` watches what passes through unchanged, ``wire`` holds
the structs that several of them share. Facts: OpenAI's published OpenAPI document and SDKs, and
OpenRouter's, Cerebras's and vLLM's documentation for what differs.
"""

from trunkline.dialects.openai.front import CHAT, COMPLETIONS, EMBEDDINGS, OpenAIFront, error_body
from trunkline.dialects.openai.upstream import OpenAIBack, Quirks

__all__ = ["CHAT", "COMPLETIONS", "EMBEDDINGS", "OpenAIBack", "OpenAIFront", "Quirks", "error_body"]
