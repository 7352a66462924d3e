"""OpenAI's chat, completions and embeddings API, as clients speak it to the gateway and as upstreams do.

- ``front``: the three operations; ``front_relay``: the paths that are relayed and never translated.
- ``back``: the API as upstreams speak it; ``quirks``: how vendors differ, as data.
- ``parse``: requests; ``parse_messages``: their messages; ``parse_form``: the model that a form names.
- ``render``: requests to upstreams; ``web_search``: their searches of the web.
- ``fit``: bodies that their vendor does not refuse.
- ``read``: upstreams' answers; ``read_tool_calls``: the pieces of their calls; ``read_content``: images,
  sounds and sources in them.
- ``write``: answers to clients; ``write_custom``: the calls of custom tools in them.
- ``inspect``: what passes through; ``inspect_tool_calls``: mends calls that clients could not read;
  ``inspect_content``: likewise content in parts.
- ``errors``: the envelope for clients, and errors inside upstreams' answers.
- ``request_schema``, ``answer_schema``: the structs of requests and answers.
- ``fields``: fields that no other dialect has: state fields, and harmless ones.
- ``reasoning``: what OpenAI's thinking models refuse of a request.
- ``thoughts``: what goes back of earlier thinking, and in which field.

Sources: OpenAI's published OpenAPI document and SDKs, and OpenRouter's, Cerebras's and vLLM's documentation
for what differs.
"""

from trunkline.dialects.openai.back import ENDPOINTS, OpenAIBack, Quirks
from trunkline.dialects.openai.errors import error_body
from trunkline.dialects.openai.front import CHAT, COMPLETIONS, EMBEDDINGS, OpenAIFront
from trunkline.dialects.openai.front_relay import FILE_METHODS, FILE_PATH, RELAYED_PATHS, RelayFront
from trunkline.dialects.openai.reasoning import PENALTIES, SAMPLING, ReasoningProfile

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "EMBEDDINGS",
    "ENDPOINTS",
    "FILE_METHODS",
    "FILE_PATH",
    "PENALTIES",
    "RELAYED_PATHS",
    "SAMPLING",
    "OpenAIBack",
    "OpenAIFront",
    "Quirks",
    "ReasoningProfile",
    "RelayFront",
    "error_body",
]
