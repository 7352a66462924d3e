"""OpenAI's chat, completions and embeddings API, as clients speak it to us and as we speak it to upstreams.

``requests`` and ``messages`` parse what clients ask (with the structs of ``wire``), ``answers`` writes what
they get, ``front`` puts these together. ``upstream`` renders what we ask, ``thinking`` knows what OpenAI's
thinking models refuse of it, ``reading`` reads what upstreams answer, ``scanning`` watches what passes
through unchanged (``counting`` also numbers its tool calls, for vendors who do not), ``faults`` knows their
errors; these share the structs of ``replies``. ``others`` relays the paths that nobody translates.
Facts: OpenAI's published OpenAPI document and SDKs, and OpenRouter's, Cerebras's and vLLM's documentation for
what differs.
"""

from trunkline.dialects.openai.back import ENDPOINTS, OpenAIBack, Quirks
from trunkline.dialects.openai.front import CHAT, COMPLETIONS, EMBEDDINGS, OpenAIFront, error_body
from trunkline.dialects.openai.reasoning import PENALTIES, SAMPLING, ReasoningProfile
from trunkline.dialects.openai.relay import FILE, FILE_METHODS, OTHERS, OtherFront

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "EMBEDDINGS",
    "ENDPOINTS",
    "FILE",
    "FILE_METHODS",
    "OTHERS",
    "PENALTIES",
    "SAMPLING",
    "OpenAIBack",
    "OpenAIFront",
    "OtherFront",
    "Quirks",
    "ReasoningProfile",
    "error_body",
]
