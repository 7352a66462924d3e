"""How many tokens a request has, as far as one can tell without the model's tokenizer.

A reservation must rarely be too small, so it takes three bytes for a token; what an upstream did not tell
(a stream that was cut) is settled with four, which is what English text has on average. Long runs of base64
are pictures and sounds, and count as a picture of middling size does.
"""

from __future__ import annotations

import re
from typing import Final

RESERVED_BYTES: Final = 3
"""Bytes of a request for each token that is reserved."""
USUAL_BYTES: Final = 4
"""Bytes of a request for each token that is settled, where the upstream did not say."""
PICTURE_TOKENS: Final = 1600
_SMALL: Final = 8192
"""Bytes of a request in which no picture is looked for."""
_BLOB: Final = re.compile(rb"[A-Za-z0-9+/=]{2048,}")


def prompt_tokens(body: bytes, bytes_per_token: int = RESERVED_BYTES) -> int:
    """Tokens of the prompt that a request's body holds."""
    size, pictures = len(body), 0
    if size > _SMALL:
        for blob in _BLOB.finditer(body):
            size -= blob.end() - blob.start()
            pictures += 1
    return -(-size // bytes_per_token) + pictures * PICTURE_TOKENS
