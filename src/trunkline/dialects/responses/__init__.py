"""OpenAI's Responses API (``POST /v1/responses``), as clients speak it to the gateway, and for pass-through.

- ``front``: the one operation.
- ``back``: the API as upstreams speak it, for what passes through.
- ``parse``: requests; ``parse_items``: their input; ``parse_client_items``: calls and results of client tools
  in it; ``parse_tools``: their tools.
- ``client_tools``: the tools other than functions that the client runs.
- ``server_items``: what OpenAI's servers did in earlier turns.
- ``render`` and ``read`` do not exist: no request is translated into this dialect. Every upstream that has
  the API has another dialect besides, in which the clients of other dialects are served.
- ``fit``: bodies that their vendor does not refuse.
- ``write``: whole answers to clients; ``write_items``: their output, item by item; ``write_stream``: streams.
- ``inspect``: what passes through; ``own_state``: whose reasoning is in it.
- ``errors``: the envelope for clients, what they ask in vain, and errors of upstreams.
- ``fields``: fields that no other dialect has: state fields, and harmless ones.
- ``request_schema``, ``answer_schema``: the structs and names of requests and answers.

Sources: OpenAI's published OpenAPI document and SDK.
"""

from trunkline.dialects.responses.back import ResponsesBack
from trunkline.dialects.responses.errors import error_body
from trunkline.dialects.responses.fields import ITEM_REFERENCE, STATE_FIELDS, STORE_SETTING
from trunkline.dialects.responses.front import RESPONSES, ResponsesFront
from trunkline.dialects.responses.parse import ResponsesRequest

__all__ = [
    "ITEM_REFERENCE",
    "RESPONSES",
    "STATE_FIELDS",
    "STORE_SETTING",
    "ResponsesBack",
    "ResponsesFront",
    "ResponsesRequest",
    "error_body",
]
