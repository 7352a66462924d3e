"""Anthropic's Messages API, as clients speak it to us and as we speak it to upstreams.

``incoming`` and ``blocks`` parse what clients ask (with the structs of ``wire``), ``answers`` writes what
they get, ``front`` puts these together. ``render`` writes what we ask, ``reader`` reads what upstreams answer
and ``inspector`` watches what passes through unchanged (with the structs of ``replies``); ``back`` puts these
together. ``faults`` knows errors and ``thinking`` knows budgets and efforts, both ways. Facts: Anthropic's
published API reference and the types of its Python SDK.
"""

from trunkline.dialects.anthropic.back import AnthropicBack
from trunkline.dialects.anthropic.errors import error_body
from trunkline.dialects.anthropic.front import MESSAGES, AnthropicFront
from trunkline.dialects.anthropic.render import DEFAULT_MAX_TOKENS

__all__ = ["DEFAULT_MAX_TOKENS", "MESSAGES", "AnthropicBack", "AnthropicFront", "error_body"]
