"""OpenAI's Responses API (``POST /v1/responses``), as clients speak it to us.

``requests`` and ``items`` parse what clients ask (with the structs of ``wire``, checked by ``checks``),
``output`` folds events into the answer's items, ``answers`` writes them as a whole response and ``streaming``
as a stream. There is no back: upstreams are asked in the dialect that they have. Facts: OpenAI's published
OpenAPI document and SDK.
"""

from trunkline.dialects.responses.answers import error_body
from trunkline.dialects.responses.front import RESPONSES, ResponsesFront
from trunkline.dialects.responses.requests import ResponsesRequest

__all__ = ["RESPONSES", "ResponsesFront", "ResponsesRequest", "error_body"]
