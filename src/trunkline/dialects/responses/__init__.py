"""OpenAI's Responses API (``POST /v1/responses``), as clients speak it to us, and past us to upstreams.

``requests``, ``items`` and ``tools`` parse what clients ask (with the structs of ``wire``), ``refusals`` what
they cannot have, ``output`` folds events into the answer's items, ``answers`` writes them as a whole response
and ``streaming`` as a stream; ``front`` puts these together. Nothing is translated into this dialect:
``back`` is for what passes through, ``inspector`` watches that (with the structs of ``replies``) and
``faults`` knows upstreams' errors. Facts: OpenAI's published OpenAPI document and SDK.
"""

from trunkline.dialects.responses.back import ResponsesBack
from trunkline.dialects.responses.front import RESPONSES, ResponsesFront
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.write import error_body

__all__ = ["RESPONSES", "ResponsesBack", "ResponsesFront", "ResponsesRequest", "error_body"]
