"""How many tokens a request has, as far as one can tell without the model's tokenizer.

A reservation must rarely be too small, so it takes three bytes for a token; what an upstream did not tell
(a stream that was cut) is settled with four, which is what English text has on average. Long runs of base64
are pictures and sounds, and count as a picture of middling size does.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from trunkline.model import Usage

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
    size = len(body)
    if size <= _SMALL:
        return -(-size // bytes_per_token)
    pictures = 0
    for blob in _BLOB.finditer(body):
        size -= blob.end() - blob.start()
        pictures += 1
    return -(-size // bytes_per_token) + pictures * PICTURE_TOKENS


def used(told: Usage | None, body: bytes, pieces: int, *, whole: bool) -> tuple[Usage, bool]:
    """What an answer used, and whether that is an estimate.

    Args:
        told: what the upstream has said of it.
        body: the request's.
        pieces: how many pieces of content came, or as many tokens as the answer is long.
        whole: the answer is; else what was told may be from before it ended (Anthropic tells the prompt's
            tokens as an answer begins, and its own tokens at its end).
    """
    if told is None:
        prompt = prompt_tokens(body, USUAL_BYTES)
        return Usage(prompt_tokens=prompt, completion_tokens=max(0, pieces)), True
    if whole or told.cost is not None or pieces <= told.completion_tokens:
        return told, False
    return msgspec.structs.replace(told, completion_tokens=pieces), True
