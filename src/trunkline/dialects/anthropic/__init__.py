"""Anthropic's Messages API, as clients speak it to the gateway and as upstreams do.

- ``front``: the one operation, ``POST /v1/messages``.
- ``back``: the API as upstreams speak it.
- ``parse``: requests; ``parse_content``: the blocks of their messages; ``server_blocks``: those as text that
  only Anthropic's servers make; ``client_tools``: Anthropic's tools that the client runs.
- ``render``: requests to upstreams.
- ``fit``: bodies that their vendor does not refuse.
- ``web_search``: the tool that searches the web, both ways.
- ``read``: upstreams' answers.
- ``write``: answers to clients; ``read_message``: the message in such an answer.
- ``inspect``: what passes through.
- ``errors``: the envelope for clients, and errors of upstreams.
- ``request_schema``, ``answer_schema``: the structs and names of requests and answers.
- ``own_state``: whose thinking is in what passes through.
- ``fields``: fields that no other dialect has: state fields, and harmless ones.
- ``reasoning``: budgets and efforts of thinking, in both directions.

Sources: Anthropic's published API reference and the types of its Python SDK.
"""

from trunkline.dialects.anthropic.back import AnthropicBack
from trunkline.dialects.anthropic.errors import error_body
from trunkline.dialects.anthropic.fields import STATE_FIELDS
from trunkline.dialects.anthropic.front import MESSAGES, AnthropicFront, ThreadFront
from trunkline.dialects.anthropic.read_message import read_message
from trunkline.dialects.anthropic.render import DEFAULT_MAX_TOKENS

__all__ = [
    "DEFAULT_MAX_TOKENS",
    "MESSAGES",
    "STATE_FIELDS",
    "AnthropicBack",
    "AnthropicFront",
    "ThreadFront",
    "error_body",
    "read_message",
]
