"""OpenAI's Responses API (``POST /v1/responses``), as clients speak it to the gateway and as upstreams do.

- ``front``: the one operation.
- ``back``: the API as upstreams speak it, for what passes through.
- ``parse``: requests; ``parse_items``: their input; ``parse_client_items``: calls and results of client tools
  in it; ``parse_tools``: their tools; ``tools_within``: tools that stand in the input.
- ``client_tools``: the tools other than functions that the client runs.
- ``server_items``: what OpenAI's servers did in earlier turns.
- ``render``: requests to upstreams; ``render_items``: their input.
- ``read``: answers of upstreams; ``read_items``: their output, item by item.
- ``quirks``: how vendors differ, as data.
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
from trunkline.dialects.responses.quirks import ResponsesQuirks
from trunkline.dialects.responses.render import SHARED_FIELDS, searches, unsent_knobs

__all__ = [
    "ITEM_REFERENCE",
    "RESPONSES",
    "SHARED_FIELDS",
    "STATE_FIELDS",
    "STORE_SETTING",
    "ResponsesBack",
    "ResponsesFront",
    "ResponsesQuirks",
    "ResponsesRequest",
    "error_body",
    "searches",
    "unsent_knobs",
]
