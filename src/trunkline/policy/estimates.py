"""Estimates of tokens, as far as they are possible without the model's tokenizer.

A reservation must rarely be too small, so it takes three bytes for a token. Usage that an upstream did not
report (a stream that was cut) is settled with four, the average of English text. Pictures, sounds and files
count as vendors count them (``media``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.model import Usage
from trunkline.policy.media import media_in

RESERVED_BYTES_PER_TOKEN: Final = 3
"""The bytes of a request for each token that is reserved."""
AVERAGE_BYTES_PER_TOKEN: Final = 4
"""The bytes of a request for each token that is settled, where the upstream did not report usage."""
_SMALL: Final = 8192
"""The size in bytes up to which a request is not decoded if it has none of the names that media have."""


def estimate_prompt_tokens(body: bytes, bytes_per_token: int = RESERVED_BYTES_PER_TOKEN) -> int:
    """The number of tokens of the prompt in a request's body."""
    size = len(body)
    if (
        size <= _SMALL
        and b'"image' not in body
        and b'"input_' not in body
        and b'"file"' not in body
        and b'"source"' not in body
        and b"\\u00" not in body  # a name may be written with escapes
    ):
        return -(-size // bytes_per_token)
    media = media_in(body)
    return -(-(size - media.size) // bytes_per_token) + media.tokens


def estimate_usage(reported: Usage | None, body: bytes, pieces: int, *, whole: bool) -> tuple[Usage, bool]:
    """What an answer used, and whether that is an estimate.

    Args:
        reported: what the upstream has reported.
        body: the request's body.
        pieces: how many pieces of content came, or the estimated number of tokens of the answer.
        whole: whether the answer came to its end. If not, the report may be from before the end (Anthropic
            reports the prompt's tokens as an answer begins, and the answer's tokens at its end).
    """
    if reported is None:
        prompt = estimate_prompt_tokens(body, AVERAGE_BYTES_PER_TOKEN)
        return Usage(prompt_tokens=prompt, completion_tokens=max(0, pieces)), True
    if whole or reported.cost is not None or pieces <= reported.completion_tokens:
        return reported, False
    return msgspec.structs.replace(reported, completion_tokens=pieces), True
